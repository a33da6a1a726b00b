import { closeSync } from "node:fs";
import { datapathError, Errno } from "./errors.js";
import { lastError, libc } from "./libc.js";
import { refusal, refusalErrno } from "./netlink-failure.js";
import type { NetlinkMessage } from "./netlink-message.js";
import { ControlType, encodeRequest, MessageFlag, parseMessages } from "./netlink-message.js";

const familyNetlink = 16;
const typeRaw = 3;
const cloexec = 0o2000000;
const nonblock = 0o4000;
/** `NETLINK_…` protocols. */
export const NetlinkProtocol = { route: 0, netfilter: 12 } as const;
const levelNetlink = 270;
const levelSocket = 1;
/** SO_SNDBUFFORCE and SO_RCVBUFFORCE. */
const BufferOption = { send: 32, receive: 33 } as const;
/** `NETLINK_…` socket options. Since Linux 4.20, so every kernel that Sluice runs on has them. */
const Option = { shortAnswers: 10, reasons: 11, strictChecks: 12 } as const;
/** The kernel fills dumps in pieces of up to 32 KiB. */
const receiveBytes = 65536;
const maxDumpAttempts = 8;

/**
 * Opens a netlink socket, mostly a routing one, in the network namespace of this thread.
 *
 * @param groups `RTMGRP_…` bits of the events to be told of
 * @throws SluiceError SLUICE_NETLINK_FAILED
 */
export function openNetlink(
  groups = 0,
  isBlocking = true,
  protocol: number = NetlinkProtocol.route,
): number {
  const type = typeRaw | cloexec | (isBlocking ? 0 : nonblock);
  const fd = libc().socket(familyNetlink, type, protocol);
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

/** Beyond the system's limit where CAP_NET_ADMIN is held; else it stays as it is. */
export function enlargeReceiveBuffer(fd: number, bytes: number): void {
  setBuffer(fd, BufferOption.receive, bytes);
}

/** As {@link enlargeReceiveBuffer}. */
export function enlargeSendBuffer(fd: number, bytes: number): void {
  setBuffer(fd, BufferOption.send, bytes);
}

function setBuffer(fd: number, option: number, bytes: number): void {
  const value = Buffer.alloc(4);
  value.writeUInt32LE(bytes);
  libc().setsockopt(fd, levelSocket, option, value, value.length);
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

/** A socket that says why it refuses, and lists only what the request asks for. */
export function openForRequests(protocol: number = NetlinkProtocol.route): number {
  const fd = openNetlink(0, true, protocol);
  const isOn = Buffer.from([1, 0, 0, 0]);
  for (const option of Object.values(Option)) {
    if (libc().setsockopt(fd, levelNetlink, option, isOn, isOn.length) === 0) continue;
    const cause = lastError("setsockopt");
    closeSync(fd);
    throw failed("cannot set up a netlink socket", cause);
  }
  return fd;
}

/**
 * Sends one request and reads its whole answer. A list that changed while it was dumped is asked for
 * again, so what comes back is consistent.
 *
 * @param payload the family's fixed header and its attributes
 * @param tried for the error message, as in "cannot …": `list the interfaces`
 * @throws SluiceError SLUICE_NETLINK_FAILED, its cause a SystemError with the kernel's errno;
 *   SLUICE_NO_CAPABILITY
 */
export function request(
  type: number,
  flags: number,
  payload: Uint8Array,
  tried: string,
  protocol: number = NetlinkProtocol.route,
): readonly NetlinkMessage[] {
  const fd = openForRequests(protocol);
  try {
    for (let attempt = 1; attempt <= maxDumpAttempts; attempt++) {
      const answer = exchange(fd, encodeRequest(type, flags, attempt, payload), attempt, tried);
      if (answer !== undefined) return answer;
    }
    throw datapathError(
      "SLUICE_NETLINK_FAILED",
      `cannot ${tried}: the list changed ${maxDumpAttempts} times while it was read`,
      { remedy: "Try again" },
    );
  } finally {
    closeSync(fd);
  }
}

/**
 * Asks for a change and waits until the kernel has made it.
 *
 * @param flags how it treats what is there already: `MessageFlag` create, exclusive, replace, append
 * @param payload the family's fixed header and its attributes
 * @param tried for the error message, as in "cannot …": `delete interface eth0`
 * @throws SluiceError SLUICE_NETLINK_FAILED, its cause a SystemError with the kernel's errno;
 *   SLUICE_NO_CAPABILITY
 */
export function change(type: number, flags: number, payload: Uint8Array, tried: string): void {
  request(type, flags | MessageFlag.acknowledge, payload, tried);
}

/** The answer to a request; undefined when it was interrupted by a change. */
function exchange(
  fd: number,
  bytes: Buffer,
  sequence: number,
  tried: string,
): readonly NetlinkMessage[] | undefined {
  if (libc().send(fd, bytes, bytes.length, 0) < 0) {
    throw failed(`cannot ${tried}`, lastError("send"));
  }
  const flags = bytes.readUInt16LE(6);
  // A list ends with a message of its own, and a change with the acknowledgement.
  const isSingle = (flags & (MessageFlag.dump | MessageFlag.acknowledge)) === 0;
  const answer: NetlinkMessage[] = [];
  let isInterrupted = false;
  for (;;) {
    const messages = receive(fd);
    if (messages === undefined) {
      throw datapathError("SLUICE_NETLINK_FAILED", `cannot ${tried}: the kernel's answer is lost`, {
        remedy: "The kernel is short of memory; try again",
      });
    }
    for (const message of messages) {
      if (message.sequence !== sequence) continue;
      if ((message.flags & MessageFlag.dumpInterrupted) !== 0) isInterrupted = true;
      if (refusalErrno(message) !== 0) throw refusal(message, tried);
      if (message.type === ControlType.done) return isInterrupted ? undefined : answer;
      if (message.type === ControlType.error) return answer;
      answer.push(message);
      if (isSingle) return answer;
    }
  }
}
