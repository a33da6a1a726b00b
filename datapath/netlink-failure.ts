import { describeMissing } from "./capabilities.js";
import { datapathError, describeErrno, Errno, SluiceError, SystemError } from "./errors.js";
import type { NetlinkMessage } from "./netlink-message.js";
import { attributeString, ControlType, MessageFlag, parseAttributes } from "./netlink-message.js";

/** The header of the refused request, which an answer repeats behind the errno. */
const repeatedHeaderBytes = 16;
const attributeReason = 1;

const remedies: ReadonlyMap<number, string> = new Map([
  [Errno.EEXIST, "Replace it, or delete it first"],
  [Errno.ENODEV, "List the interfaces of this network namespace: ip link"],
  [Errno.EBADF, "Give an open descriptor of a network namespace"],
  [
    Errno.ENETUNREACH,
    "Set the interface up, and reach the gateway by a route or say that it is on-link",
  ],
  [
    Errno.EHOSTUNREACH,
    "Set the interface up, and reach the gateway by a route or say that it is on-link",
  ],
  [Errno.ENETDOWN, "Set the interface up first"],
  [Errno.EOPNOTSUPP, "Check that this kernel has the module of this kind of interface"],
]);

/** Positive errno that an answer ends with; 0 when the request was met, or the answer goes on. */
export function refusalErrno({ type, payload }: NetlinkMessage): number {
  const hasErrno = type === ControlType.error || type === ControlType.done;
  return hasErrno && payload.length >= 4 ? Math.abs(payload.readInt32LE()) : 0;
}

/**
 * The error for an answer that refuses the request, with the kernel's words when it gave a reason.
 *
 * @param tried as in "cannot …"
 */
export function refusal(message: NetlinkMessage, tried: string): SluiceError {
  const errno = refusalErrno(message);
  const cause = new SystemError("netlink", errno);
  const missing = errno === Errno.EPERM ? describeMissing(["CAP_NET_ADMIN"]) : undefined;
  if (missing !== undefined) {
    return datapathError("SLUICE_NO_CAPABILITY", `cannot ${tried}: ${missing}`, { cause });
  }
  const reason = kernelReason(message);
  const why = reason === undefined ? describeErrno(errno) : `${reason} (${cause.code})`;
  return datapathError("SLUICE_NETLINK_FAILED", `cannot ${tried}: ${why}`, {
    remedy: remedies.get(errno) ?? "Check the values against what ip shows of this namespace",
    cause,
  });
}

function kernelReason({ type, flags, payload }: NetlinkMessage): string | undefined {
  if ((flags & MessageFlag.hasReason) === 0) return undefined;
  const from = type === ControlType.error ? 4 + repeatedHeaderBytes : 4;
  const reason = attributeString(parseAttributes(payload, from), attributeReason);
  return reason === undefined || reason === "" ? undefined : reason.replace(/\.$/, "");
}

/** Runs a request; undefined when the kernel refuses it with one of the errnos. */
export function unlessRefused<T>(errnos: readonly number[], run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (isRefused(error, errnos)) return undefined;
    throw error;
  }
}

/** Whether the kernel refused a request with one of the errnos. */
export function isRefused(error: unknown, errnos: readonly number[]): boolean {
  const cause = error instanceof SluiceError ? error.cause : undefined;
  return cause instanceof SystemError && errnos.includes(cause.errno);
}
