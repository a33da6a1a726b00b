import { datapathError, Errno, SluiceError } from "./errors.js";
import type { IfIndex, ProgramId } from "./handles.js";
import { isErrno, libbpf, libbpfError } from "./libbpf.js";
import { decodeOpts, encodeOpts } from "./libbpf-opts.js";
import type { Link } from "./links.js";
import { attachError, AttachType, createLink, createLinkAside } from "./links.js";
import type { Program } from "./programs.js";

/** Side of an interface, as the host sees it: ingress is what the interface receives. */
export type TcDirection = "ingress" | "egress";

/** Where a tcx program goes among those of others; the default is after all of them. */
export type TcxPlace = "first" | "last";
/** `BPF_F_BEFORE` and `BPF_F_AFTER` without a neighbour: the head and the tail of the list. */
const placeFlags: Record<TcxPlace, number> = { first: 1 << 3, last: 0 };

/**
 * Attaches a tc program by a tcx link.
 *
 * @throws SluiceError SLUICE_TCX_UNSUPPORTED before kernel 6.6; SLUICE_NO_INTERFACE,
 *   SLUICE_NO_CAPABILITY, SLUICE_ATTACH_FAILED
 */
export function attachTcx(
  program: Program,
  index: IfIndex,
  direction: TcDirection,
  place: TcxPlace = "last",
): Link {
  const made = createLink(program, index, tcxType(direction), placeFlags[place]);
  return tcxLink(made, program, index, direction);
}

/**
 * As {@link attachTcx}, at the end of the list, but does not keep this thread waiting: the kernel waits until no packet
 * can be in what was attached before, ten milliseconds and more. In the network namespace that the process began in.
 */
export async function attachTcxAside(
  program: Program,
  index: IfIndex,
  direction: TcDirection,
): Promise<Link> {
  const made = await createLinkAside(program, index, tcxType(direction));
  return tcxLink(made, program, index, direction);
}

function tcxType(direction: TcDirection): number {
  return direction === "ingress" ? AttachType.tcxIngress : AttachType.tcxEgress;
}

function tcxLink(
  made: Link | number,
  program: Program,
  index: IfIndex,
  direction: TcDirection,
): Link {
  if (typeof made !== "number") return made;
  const tried = `cannot attach tc program ${program.name} to ${direction} of interface ${index}`;
  if (isErrno(made, Errno.EINVAL)) {
    throw datapathError("SLUICE_TCX_UNSUPPORTED", `${tried}: the kernel refused a tcx link`, {
      cause: libbpfError("bpf_link_create", made),
    });
  }
  throw attachError(tried, "bpf_link_create", made);
}

/** Programs attached by tcx, in the order in which they run; none on a kernel without tcx. */
export function queryTcx(index: IfIndex, direction: TcDirection): readonly ProgramId[] {
  const capacity = 64;
  const ids = Buffer.alloc(4 * capacity);
  const opts = encodeOpts("progQuery", { prog_ids: ids, prog_cnt: capacity });
  const result = libbpf().bpf_prog_query_opts(index, tcxType(direction), opts);
  if (isErrno(result, Errno.ENOENT) || isErrno(result, Errno.EINVAL)) return [];
  if (result < 0) {
    const tried = `cannot ask for the tcx programs of interface ${index}`;
    throw attachError(tried, "bpf_prog_query_opts", result);
  }
  const count = decodeOpts<"prog_cnt">("progQuery", opts).prog_cnt;
  return Array.from({ length: count }, (_, at) => ids.readUInt32LE(4 * at) as ProgramId);
}

/** A tc program attached by a filter of the clsact qdisc, which needs no pin to outlive the process. */
export interface ClsactFilter {
  readonly ifIndex: IfIndex;
  readonly direction: TcDirection;
  /** Names the filter together with the priority; choose one that no other owner uses. */
  readonly handle: number;
  /** Lower runs first. */
  readonly priority: number;
}

/** A tc program on its hook, by whichever way this kernel has. */
export type TcAttachment =
  | { readonly kind: "tcx"; readonly link: Link }
  | { readonly kind: "clsact"; readonly filter: ClsactFilter };

/**
 * Attaches a tc program by a tcx link, or by a clsact filter on kernels without tcx.
 *
 * @param filter place of the program, and its name if it becomes a filter
 * @param useTcx false leaves tcx out, as if the kernel had none
 * @throws SluiceError SLUICE_NO_INTERFACE, SLUICE_NO_CAPABILITY, SLUICE_ATTACH_FAILED
 */
export function attachTc(program: Program, filter: ClsactFilter, useTcx = true): TcAttachment {
  if (useTcx) {
    try {
      return { kind: "tcx", link: attachTcx(program, filter.ifIndex, filter.direction) };
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== "SLUICE_TCX_UNSUPPORTED") throw error;
    }
  }
  attachClsact(program, filter);
  return { kind: "clsact", filter };
}

const attachPoint: Record<TcDirection, number> = { ingress: 1, egress: 2 };
const replaceFlag = 1;

function hookOf(index: IfIndex, direction: TcDirection): Buffer {
  return encodeOpts("tcHook", { ifindex: index, attach_point: attachPoint[direction] });
}

/**
 * Gives an interface a clsact qdisc. One that is up loses packets meanwhile.
 *
 * @returns false when it has one already, or one of the kind `ingress`: that takes filters for egress, too, and asks them
 *   at ingress
 * @throws SluiceError SLUICE_NO_INTERFACE, SLUICE_NO_CAPABILITY, SLUICE_ATTACH_FAILED
 */
export function addClsact(ifIndex: IfIndex): boolean {
  const created = libbpf().bpf_tc_hook_create(hookOf(ifIndex, "ingress"));
  if (created >= 0) return true;
  if (isErrno(created, Errno.EEXIST)) return false;
  const tried = `cannot give interface ${ifIndex} a clsact qdisc`;
  throw attachError(tried, "bpf_tc_hook_create", created);
}

/**
 * Attaches a program by clsact, for kernels without tcx; a filter of the same handle and priority is
 * replaced in place, without a gap.
 *
 * @throws SluiceError SLUICE_NO_INTERFACE, SLUICE_NO_CAPABILITY, SLUICE_ATTACH_FAILED
 */
export function attachClsact(program: Program, filter: ClsactFilter): void {
  const { ifIndex, direction, handle, priority } = filter;
  const tried = `cannot attach tc program ${program.name} to ${direction} of interface ${ifIndex}`;
  addClsact(ifIndex);
  const hook = hookOf(ifIndex, direction);
  const opts = encodeOpts("tc", { prog_fd: program.fd, flags: replaceFlag, handle, priority });
  const result = libbpf().bpf_tc_attach(hook, opts);
  if (result < 0) throw attachError(tried, "bpf_tc_attach", result);
}

/** The program of a clsact filter; undefined when there is no such filter. */
export function queryClsact(filter: ClsactFilter): ProgramId | undefined {
  const { ifIndex, direction, handle, priority } = filter;
  const opts = encodeOpts("tc", { handle, priority });
  const result = libbpf().bpf_tc_query(hookOf(ifIndex, direction), opts);
  // No clsact qdisc on the interface is EINVAL, no such filter ENOENT.
  if (isErrno(result, Errno.ENOENT) || isErrno(result, Errno.EINVAL)) return undefined;
  if (result < 0) {
    const tried = `cannot ask for the tc filters of interface ${ifIndex}`;
    throw attachError(tried, "bpf_tc_query", result);
  }
  return decodeOpts<"prog_id">("tc", opts).prog_id as ProgramId;
}

/**
 * Removes one filter; the clsact qdisc stays, since other owners may have filters there.
 *
 * @returns false when there was none
 */
export function detachClsact(filter: ClsactFilter): boolean {
  const { ifIndex, direction, handle, priority } = filter;
  const opts = encodeOpts("tc", { handle, priority });
  const result = libbpf().bpf_tc_detach(hookOf(ifIndex, direction), opts);
  if (result >= 0) return true;
  if (isErrno(result, Errno.ENOENT) || isErrno(result, Errno.EINVAL)) return false;
  const tried = `cannot remove the tc filter of ${direction} of interface ${ifIndex}`;
  throw attachError(tried, "bpf_tc_detach", result);
}
