import { missingCapabilities } from "./capabilities.js";
import type { DatapathErrorCode, SluiceError } from "./errors.js";
import { datapathError, Errno } from "./errors.js";
import type { IfIndex, ProgramId } from "./handles.js";
import { closeFd } from "./handles.js";
import { linkInfo, LinkType, programInfo } from "./kernel-info.js";
import { linkFdById, listLinks, programFdById } from "./kernel-objects.js";
import { isErrno, isPermission, libbpf, libbpfError } from "./libbpf.js";
import { decodeOpts, encodeOpts } from "./libbpf-opts.js";
import { attachError, AttachType, createLink, Link } from "./links.js";
import { interfaceByIndex } from "./netlink.js";
import type { Program } from "./programs.js";

/** Where XDP runs: in the driver, in the stack before the skb is used, or on the card. */
export type XdpMode = "native" | "generic" | "offload";

/** `XDP_FLAGS_…_MODE`, from <linux/if_link.h>. */
const modeFlags: Record<XdpMode, number> = { generic: 1 << 1, native: 1 << 2, offload: 1 << 3 };

/** Programs attached to an interface, by mode; offload can be there beside one of the others. */
export interface XdpState {
  readonly native: ProgramId | undefined;
  readonly generic: ProgramId | undefined;
  readonly offload: ProgramId | undefined;
}

/**
 * Asks by netlink what is attached to an interface of this network namespace, by whomever.
 *
 * @throws SluiceError SLUICE_NO_INTERFACE, SLUICE_NETLINK_FAILED
 */
export function queryXdp(index: IfIndex): XdpState {
  const tried = `cannot ask for the XDP programs of interface ${index}`;
  const opts = encodeOpts("xdpQuery");
  const result = libbpf().bpf_xdp_query(index, 0, opts);
  if (result < 0) {
    const cause = libbpfError("bpf_xdp_query", result);
    throw datapathError("SLUICE_NETLINK_FAILED", `${tried}: ${cause.code}`, { cause });
  }
  const found = decodeOpts<"drv_prog_id" | "skb_prog_id" | "hw_prog_id">("xdpQuery", opts);
  const ids = [found.drv_prog_id, found.skb_prog_id, found.hw_prog_id];
  // libbpf filters a list of all interfaces, so one that is missing looks like one without programs.
  if (ids.every((value) => value === 0) && interfaceByIndex(index) === undefined) {
    throw datapathError("SLUICE_NO_INTERFACE", `${tried}: there is no such interface here`);
  }
  const id = (value: number) => (value === 0 ? undefined : (value as ProgramId));
  return {
    native: id(found.drv_prog_id),
    generic: id(found.skb_prog_id),
    offload: id(found.hw_prog_id),
  };
}

/**
 * Mode and program of an interface in one line: `native program drop_tcp (id 12)`, or `native program
 * id 12` for a process that may not read its name.
 */
export function describeXdp(state: XdpState): string {
  const parts = (["native", "generic", "offload"] as const).flatMap((mode) => {
    const id = state[mode];
    return id === undefined ? [] : [`${mode} program ${describeProgram(id)}`];
  });
  return parts.length === 0 ? "no program" : parts.join(" and ");
}

/** The name of a program of others may be read by CAP_SYS_ADMIN only, which an agent does without. */
function describeProgram(id: ProgramId): string {
  if (missingCapabilities(["CAP_SYS_ADMIN"]).length > 0) return `id ${id}`;
  const fd = programFdById(id);
  if (fd === undefined) return `that has gone (id ${id})`;
  try {
    return `${programInfo(fd).name} (id ${id})`;
  } finally {
    closeFd(fd);
  }
}

/**
 * The link that holds a program on an interface; undefined when there is none, as for programs that
 * `ip link` attached. Interface numbers repeat across network namespaces, so the program decides.
 */
export function findXdpLink(index: IfIndex, program: ProgramId): Link | undefined {
  for (const found of listLinks()) {
    if (found.type !== LinkType.xdp || found.programId !== program) continue;
    if (found.ifIndex !== index) continue;
    const fd = linkFdById(found.id);
    if (fd === undefined) continue;
    if (linkInfo(fd).programId === program) return new Link(fd);
    closeFd(fd);
  }
  return undefined;
}

export interface AttachXdpOptions {
  readonly mode: XdpMode;
  /** Whether a driver that refuses native mode is served by generic mode instead. */
  readonly fallback?: boolean | undefined;
}

export interface XdpAttachment {
  readonly link: Link;
  readonly mode: XdpMode;
  /** Why the mode is not the one that was asked for. */
  readonly fallbackReason: string | undefined;
}

/**
 * Attaches a program to an interface of this network namespace through a link of this process. What
 * another owner attached is never replaced.
 *
 * @throws SluiceError SLUICE_XDP_FOREIGN_PROGRAM, SLUICE_XDP_MODE_CONFLICT,
 *   SLUICE_XDP_NATIVE_UNSUPPORTED, SLUICE_MTU_TOO_LARGE, SLUICE_XDP_OFFLOAD_UNSUPPORTED,
 *   SLUICE_NO_INTERFACE, SLUICE_NO_CAPABILITY, SLUICE_ATTACH_FAILED
 */
export function attachXdp(
  program: Program,
  index: IfIndex,
  { mode, fallback = false }: AttachXdpOptions,
): XdpAttachment {
  const made = createLink(program, index, AttachType.xdp, modeFlags[mode]);
  if (typeof made !== "number") return { link: made, mode, fallbackReason: undefined };
  const error = xdpError(program, index, mode, made);
  const isRefusedByDriver =
    error.code === "SLUICE_XDP_NATIVE_UNSUPPORTED" || error.code === "SLUICE_MTU_TOO_LARGE";
  if (mode !== "native" || !fallback || !isRefusedByDriver) throw error;
  const generic = attachXdp(program, index, { mode: "generic" });
  return { ...generic, fallbackReason: error.problem };
}

/** Above this, single-buffer native XDP does not fit a 4 KiB page on the drivers known. */
const singleBufferMtu = 3498;

function xdpError(program: Program, index: IfIndex, mode: XdpMode, result: number): SluiceError {
  const cause = libbpfError("bpf_link_create", result);
  const found = interfaceByIndex(index);
  const name = found?.name ?? `number ${index}`;
  const tried = `cannot attach XDP program ${program.name} to interface ${name} in ${mode} mode`;
  const fail = (code: DatapathErrorCode, why: string) =>
    datapathError(code, `${tried}: ${why} (${cause.code})`, { cause });
  if (isPermission(result)) return attachError(tried, "bpf_link_create", result);
  // The kernel says EINVAL, as for much else.
  if (found === undefined) return fail("SLUICE_NO_INTERFACE", "there is no such interface here");
  if (isErrno(result, Errno.EEXIST) || isErrno(result, Errno.EBUSY)) {
    const [code, why] = occupiedBy(queryXdp(index), mode);
    return fail(code, why);
  }
  if (mode === "offload") {
    return fail("SLUICE_XDP_OFFLOAD_UNSUPPORTED", "the driver cannot run programs on the card");
  }
  if (mode === "native") {
    const [code, why] = driverRefusal(result, found.mtu);
    return fail(code, why);
  }
  return attachError(tried, "bpf_link_create", result);
}

type Reason = readonly [code: DatapathErrorCode, why: string];

function occupiedBy(state: XdpState, mode: XdpMode): Reason {
  const has = describeXdp(state);
  if (state[mode] !== undefined) return ["SLUICE_XDP_FOREIGN_PROGRAM", `it already has ${has}`];
  return state.native === undefined && state.generic === undefined
    ? ["SLUICE_ATTACH_FAILED", "an interface that it belongs to has a program"]
    : ["SLUICE_XDP_MODE_CONFLICT", `it has ${has}, and native and generic mode exclude each other`];
}

/** The driver's own words go to nobody but a tracepoint, so its errno and the MTU must tell. */
function driverRefusal(result: number, mtu: number): Reason {
  const isLarge = mtu > singleBufferMtu;
  if (isErrno(result, Errno.ERANGE) || (isErrno(result, Errno.EINVAL) && isLarge)) {
    return [
      "SLUICE_MTU_TOO_LARGE",
      `its MTU of ${mtu}, or that of its peer, is more than the driver takes`,
    ];
  }
  const hint = isLarge ? `, and its MTU of ${mtu} may be why` : "";
  return ["SLUICE_XDP_NATIVE_UNSUPPORTED", `the driver refuses native mode${hint}`];
}
