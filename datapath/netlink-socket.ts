import { closeSync } from "node:fs";
import { datapathError, Errno, SystemError } from "./errors.js";
import { lastError, libc } from "./libc.js";
import type { NetlinkMessage } from "./netlink-message.js";
import { ControlType, encodeRequest, MessageFlag, parseMessages } from "./netlink-message.js";

const familyNetlink = 16;
const typeRaw = 3;
const cloexec = 0o2000000;
const nonblock = 0o4000;
const protocolRoute = 0;
/** The kernel fills dumps in pieces of up to 32 KiB. */
const receiveBytes = 65536;
const maxDumpAttempts = 8;

/**
 * Opens a routing socket in the network namespace of this thread.
 *
 * @param groups `RTMGRP_…` bits of the events to be told of
 * @throws SluiceError SLUICE_NETLINK_FAILED
 */
export function openNetlink(groups = 0, isBlocking = true): number {
  const type = typeRaw | cloexec | (isBlocking ? 0 : nonblock);
  const fd = libc().socket(familyNetlink, type, protocolRoute);
  if (fd < 0) throw failed("cannot open a netlink socket", lastError("socket"));
  const address = Buffer.alloc(12);
  address.writeUInt16LE(familyNetlink, 0);
  address.writeUInt32LE(groups, 8);
  if (libc().bind(fd, address, address.length) === 0) return fd;
  const cause = lastError("bind");
  closeSync(fd);
  throw failed("cannot bind a netlink socket", cause);
}

function failed(problem: string, cause: Error) {
  return datapathError("SLUICE_NETLINK_FAILED", problem, { cause });
}

/**
 * Messages that are waiting on a socket; undefined when the kernel had to throw some away because
 * nobody read them.
 */
export function receive(fd: number): readonly NetlinkMessage[] | undefined {
  const bytes = Buffer.allocUnsafe(receiveBytes);
  const length = libc().recv(fd, bytes, bytes.length, 0);
  if (length >= 0) return [...parseMessages(bytes.subarray(0, length))];
  const cause = lastError("recv");
  if (cause.errno === Errno.ENOBUFS) return undefined;
  if (cause.errno === Errno.EAGAIN || cause.errno === Errno.EINTR) return [];
  throw failed("cannot read a netlink socket", cause);
}

/**
 * Sends one request and reads its whole answer. A list that changed while it was dumped is asked for
 * again, so what comes back is consistent.
 *
 * @param what for the error message
 * @throws SluiceError SLUICE_NETLINK_FAILED, its cause a SystemError with the kernel's errno
 */
export function request(
  type: number,
  flags: number,
  payload: Uint8Array,
  what: string,
): readonly NetlinkMessage[] {
  const fd = openNetlink();
  try {
    for (let attempt = 1; attempt <= maxDumpAttempts; attempt++) {
      const answer = exchange(fd, encodeRequest(type, flags, attempt, payload), attempt, what);
      if (answer !== undefined) return answer;
    }
    throw datapathError(
      "SLUICE_NETLINK_FAILED",
      `the list of ${what} changed ${maxDumpAttempts} times while it was read`,
      { remedy: "Try again" },
    );
  } finally {
    closeSync(fd);
  }
}

/** The answer to a request; undefined when it was interrupted by a change. */
function exchange(
  fd: number,
  bytes: Buffer,
  sequence: number,
  what: string,
): readonly NetlinkMessage[] | undefined {
  if (libc().send(fd, bytes, bytes.length, 0) < 0) {
    throw failed(`cannot ask for ${what}`, lastError("send"));
  }
  const isDump = (bytes.readUInt16LE(6) & MessageFlag.dump) !== 0;
  const answer: NetlinkMessage[] = [];
  let isInterrupted = false;
  for (;;) {
    for (const message of receive(fd) ?? []) {
      if (message.sequence !== sequence) continue;
      if ((message.flags & MessageFlag.dumpInterrupted) !== 0) isInterrupted = true;
      if (message.type === ControlType.error) {
        // Number 0 is the answer to a request for an acknowledgement.
        if (message.payload.readInt32LE() === 0) return answer;
        const cause = new SystemError("netlink", -message.payload.readInt32LE());
        throw failed(`cannot ask for ${what}: ${cause.code}`, cause);
      }
      if (message.type === ControlType.done) return isInterrupted ? undefined : answer;
      answer.push(message);
      if (!isDump) return answer;
    }
  }
}
