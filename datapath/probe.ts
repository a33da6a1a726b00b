import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import type { CapabilityName } from "./capabilities.js";
import { effectiveCapabilities, missingCapabilities } from "./capabilities.js";
import { Errno } from "./errors.js";
import type { ProgramFd } from "./handles.js";
import { closeFd } from "./handles.js";
import { isErrno, libbpf } from "./libbpf.js";
import { encodeOpts } from "./libbpf-opts.js";
import { AttachType } from "./links.js";
import { MapType } from "./map-create.js";
import { defaultBpffs, isBpffs } from "./pin.js";

/** `unknown` when the question could not be asked, as without capabilities. */
export type Answer = "yes" | "no" | "unknown";

/** One thing a kernel may offer. */
export interface Feature {
  /** As the kernel names it: `program type xdp`, `helper bpf_redirect_peer`, `tcx links`. */
  readonly name: string;
  readonly answer: Answer;
  /** First kernel that has it, for the reader of a "no". */
  readonly since: string;
}

/** What this machine offers to BPF work. */
export interface KernelReport {
  /** As `uname -r`. */
  readonly release: string;
  readonly libbpf: string;
  /** Whether programs run as machine code. */
  readonly jit: Answer;
  /** Whether the kernel describes its own types, which CO-RE programs need. */
  readonly btf: Answer;
  /** Whether a bpffs is mounted in the usual place. */
  readonly bpffs: Answer;
  readonly capabilities: ReadonlySet<CapabilityName>;
  readonly features: readonly Feature[];
}

/** `BPF_PROG_TYPE_…` of the programs that Sluice has or plans. */
export const ProgramType = { tc: 3, xdp: 6, cgroupSockAddr: 18 } as const;

const programTypes = [
  ["tc", ProgramType.tc, "4.1"],
  ["xdp", ProgramType.xdp, "4.8"],
  ["cgroup_sock_addr", ProgramType.cgroupSockAddr, "4.17"],
] as const;

const mapTypes = [
  ["hash", MapType.hash, "3.19"],
  ["array", MapType.array, "3.19"],
  ["percpu_array", MapType.perCpuArray, "4.6"],
  ["lru_hash", MapType.lruHash, "4.10"],
  ["lpm_trie", MapType.lpmTrie, "4.11"],
  ["array_of_maps", MapType.arrayOfMaps, "4.12"],
  ["devmap", MapType.deviceMap, "4.14"],
  ["cpumap", MapType.cpuMap, "4.15"],
  ["xskmap", MapType.socketMap, "4.18"],
  ["ringbuf", MapType.ringBuffer, "5.8"],
] as const;

/** Numbers from `enum bpf_func_id`. */
const helpers = [
  ["bpf_xdp_adjust_meta", ProgramType.xdp, 54, "4.15"],
  ["bpf_redirect_map", ProgramType.xdp, 51, "4.14"],
  ["bpf_fib_lookup", ProgramType.xdp, 69, "4.18"],
  ["bpf_ringbuf_reserve", ProgramType.xdp, 131, "5.8"],
  ["bpf_ktime_get_coarse_ns", ProgramType.xdp, 160, "5.11"],
  ["bpf_redirect_neigh", ProgramType.tc, 152, "5.10"],
  ["bpf_redirect_peer", ProgramType.tc, 155, "5.10"],
  ["bpf_set_retval", ProgramType.cgroupSockAddr, 187, "5.18"],
] as const;

function answerOf(result: number): Answer {
  return result > 0 ? "yes" : result === 0 ? "no" : "unknown";
}

/**
 * Asks the kernel what it can do, by trying. Takes some milliseconds and changes nothing.
 *
 * @throws SluiceError SLUICE_LIBBPF_MISSING, SLUICE_LIBBPF_TOO_OLD
 */
export function probeKernel(): KernelReport {
  const bpf = libbpf();
  // Without these every trial fails, which libbpf reports as "not supported".
  const mayAsk = missingCapabilities(["CAP_BPF", "CAP_NET_ADMIN"]).length === 0;
  const ask = (name: string, since: string, question: () => Answer): Feature => ({
    name,
    since,
    answer: mayAsk ? question() : "unknown",
  });
  return {
    release: release(),
    libbpf: bpf.libbpf_version_string(),
    jit: probeJit(),
    btf: existsSync("/sys/kernel/btf/vmlinux") ? "yes" : "no",
    bpffs: existsSync(defaultBpffs) && isBpffs(defaultBpffs) ? "yes" : "no",
    capabilities: effectiveCapabilities(),
    features: [
      ...programTypes.map(([name, type, since]) =>
        ask(`program type ${name}`, since, () =>
          answerOf(bpf.libbpf_probe_bpf_prog_type(type, null)),
        ),
      ),
      ...mapTypes.map(([name, type, since]) =>
        ask(`map type ${name}`, since, () => answerOf(bpf.libbpf_probe_bpf_map_type(type, null))),
      ),
      ...helpers.map(([name, type, helper, since]) =>
        ask(`helper ${name}`, since, () =>
          answerOf(bpf.libbpf_probe_bpf_helper(type, helper, null)),
        ),
      ),
      ask("XDP links", "5.9", probeLinks),
      ask("tcx links", "6.6", probeTcx),
      ask("atomic compare-and-exchange", "5.12", probeCompareExchange),
    ],
  };
}

function probeJit(): Answer {
  try {
    const value = readFileSync("/proc/sys/net/core/bpf_jit_enable", "utf8").trim();
    return value === "0" ? "no" : "yes";
  } catch {
    return "unknown";
  }
}

/** A kernel that knows the call looks at the descriptor first; an older one refuses the call. */
function probeLinks(): Answer {
  const result = libbpf().bpf_link_create(-1, 1, AttachType.xdp, null);
  if (isErrno(result, Errno.EBADF)) return "yes";
  return isErrno(result, Errno.EINVAL) ? "no" : "unknown";
}

/** Asks for the tcx programs of the loopback, which every namespace has as number 1. */
function probeTcx(): Answer {
  const opts = encodeOpts("progQuery");
  const result = libbpf().bpf_prog_query_opts(1, AttachType.tcxIngress, opts);
  if (result >= 0 || isErrno(result, Errno.ENOENT)) return "yes";
  return isErrno(result, Errno.EINVAL) ? "no" : "unknown";
}

/** `BPF_ATOMIC | BPF_CMPXCHG` on a stack slot. */
function probeCompareExchange(): Answer {
  const instructions = Buffer.from(
    [
      "b700000000000000", // r0 = 0
      "b701000000000000", // r1 = 0
      "7b0af8ff00000000", // *(u64 *)(r10 - 8) = r0
      "db1af8fff1000000", // r0 = cmpxchg_64(r10 - 8, r0, r1)
      "b700000000000000", // r0 = 0
      "9500000000000000", // exit
    ].join(""),
    "hex",
  );
  const count = instructions.length / 8;
  const fd = libbpf().bpf_prog_load(ProgramType.xdp, "probe", "GPL", instructions, count, null);
  if (fd < 0) return isErrno(fd, Errno.EINVAL) ? "no" : "unknown";
  closeFd(fd as ProgramFd);
  return "yes";
}
