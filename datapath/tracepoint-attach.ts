import type { LinkFd } from "./handles.js";
import { libbpf } from "./libbpf.js";
import { attachError, Link } from "./links.js";
import type { Program } from "./programs.js";

/**
 * Attaches a raw tracepoint program. It sees the whole kernel, not one network namespace.
 *
 * @param name of the tracepoint, without its group: `xdp_exception`
 * @throws SluiceError SLUICE_NO_CAPABILITY (CAP_PERFMON as well), SLUICE_ATTACH_FAILED when the kernel has no such
 *   tracepoint
 */
export function attachRawTracepoint(program: Program, name: string): Link {
  const fd = libbpf().bpf_raw_tracepoint_open(name, program.fd);
  if (fd >= 0) return new Link(fd as LinkFd);
  throw attachError(`cannot attach to the tracepoint ${name}`, "bpf_raw_tracepoint_open", fd);
}
