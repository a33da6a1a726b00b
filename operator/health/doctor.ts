import { availableParallelism } from "node:os";
import { missingCapabilities } from "../../datapath/capabilities.js";
import { listInterfaces, type NetworkInterface } from "../../datapath/netlink.js";
import { listDefaultRoutes } from "../../datapath/netlink-routes.js";
import { defaultBpffs } from "../../datapath/pin.js";
import { type Answer, type KernelReport, probeKernel } from "../../datapath/probe.js";
import { SluiceError } from "../errors.js";
import { agentCapabilities } from "./capabilities.js";
import { examineNic, type NicReport } from "./doctor-nic.js";
import { examineRouting } from "./doctor-routing.js";

export type Grade = "ok" | "note" | "missing";

/** One thing looked at. */
export interface Finding {
  /** `kernel`, `rights`, or the name of an interface. */
  readonly area: string;
  readonly name: string;
  /** `note`: Sluice works, but not as well as it could. `missing`: it does not work. */
  readonly grade: Grade;
  readonly text: string;
  /** What to do about it. */
  readonly remedy?: string;
}

export interface DoctorReport {
  readonly kernel: string;
  readonly libbpf: string;
  readonly cpus: number;
  readonly nics: readonly NicReport[];
  readonly findings: readonly Finding[];
}

export interface DoctorOptions {
  /** Look at virtual interfaces too, not only at NICs and what has a default route. */
  readonly allInterfaces: boolean;
}

/** Features that Sluice has another way for, and what is lost without them. */
const optional: ReadonlyMap<string, string> = new Map([
  ["program type cgroup_sock_addr", "services at the socket will not be offered"],
  ["map type lpm_trie", "not used by this version"],
  ["map type array_of_maps", "not used by this version"],
  ["helper bpf_xdp_adjust_meta", "the deciding rule is not passed on to tc programs"],
  ["helper bpf_ktime_get_coarse_ns", "not used by this version"],
  ["helper bpf_fib_lookup", "not used by this version"],
  ["helper bpf_redirect_neigh", "not used by this version"],
  ["helper bpf_redirect_peer", "not used by this version"],
  ["helper bpf_set_retval", "not used by this version"],
  ["tcx links", "clsact filters take their place"],
]);

/** Looks at what this machine offers to Sluice. Changes nothing; needs no agent. */
export function examineMachine({ allInterfaces }: DoctorOptions): DoctorReport {
  const cpus = availableParallelism();
  const { kernel, findings } = examineKernel();
  const nics = chooseInterfaces(allInterfaces).map((found) => examineNic(found, cpus));
  return {
    kernel: kernel?.release ?? "unknown",
    libbpf: kernel?.libbpf ?? "none",
    cpus,
    nics,
    findings: [...findings, ...examineRouting(), ...nics.flatMap((nic) => nic.findings)],
  };
}

function examineKernel(): {
  readonly kernel: KernelReport | undefined;
  readonly findings: readonly Finding[];
} {
  const rights = examineRights();
  try {
    const kernel = probeKernel();
    return { kernel, findings: [...rights, ...kernelFindings(kernel)] };
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    const finding = missing("kernel", "libbpf", error.problem, error.remedy);
    return { kernel: undefined, findings: [...rights, finding] };
  }
}

function examineRights(): readonly Finding[] {
  const lacking = agentCapabilities.filter(({ name }) => missingCapabilities([name]).length > 0);
  if (lacking.length === 0)
    return [{ area: "rights", name: "capabilities", grade: "ok", text: "all" }];
  return lacking.map(({ name, purpose }) =>
    missing("rights", name, `missing, for ${purpose}`, "Run as root, or give it this capability"),
  );
}

function kernelFindings(kernel: KernelReport): readonly Finding[] {
  return [
    bpffsFinding(kernel.bpffs),
    kernel.jit === "no"
      ? {
          area: "kernel",
          name: "JIT compiler",
          grade: "note",
          text: "off: programs are interpreted, several times slower",
          remedy: "sysctl -w net.core.bpf_jit_enable=1",
        }
      : { area: "kernel", name: "JIT compiler", grade: "ok", text: kernel.jit },
    ...kernel.features.map((feature) =>
      featureFinding(feature.name, feature.answer, feature.since),
    ),
  ];
}

function bpffsFinding(answer: Answer): Finding {
  if (answer === "yes") return { area: "kernel", name: "bpffs", grade: "ok", text: defaultBpffs };
  const text = `no BPF file system at ${defaultBpffs}`;
  return missing("kernel", "bpffs", text, `mount -t bpf bpf ${defaultBpffs}`);
}

function featureFinding(name: string, answer: Answer, since: string): Finding {
  if (answer === "yes") return { area: "kernel", name, grade: "ok", text: "yes" };
  if (answer === "unknown") {
    return {
      area: "kernel",
      name,
      grade: "note",
      text: "could not be asked for",
      remedy: "Run as root",
    };
  }
  const instead = optional.get(name);
  const remedy = `Use kernel ${since} or later`;
  return instead === undefined
    ? missing("kernel", name, "no", remedy)
    : { area: "kernel", name, grade: "note", text: `no: ${instead}`, remedy };
}

function missing(area: string, name: string, text: string, remedy?: string): Finding {
  return { area, name, grade: "missing", text, ...(remedy !== undefined && { remedy }) };
}

function chooseInterfaces(all: boolean): readonly NetworkInterface[] {
  const uplinks = new Set(listDefaultRoutes().map(({ index }) => index));
  return listInterfaces().filter(
    ({ index, kind, name }) => name !== "lo" && (all || kind === undefined || uplinks.has(index)),
  );
}
