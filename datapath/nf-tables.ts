import { closeSync } from "node:fs";
import { datapathError, Errno } from "./errors.js";
import { lastError, libc } from "./libc.js";
import { attribute, nested, stringAttribute } from "./netlink-attributes.js";
import { refusal, refusalErrno, unlessRefused } from "./netlink-failure.js";
import type { Attributes } from "./netlink-message.js";
import { ControlType, encodeRequest, MessageFlag, parseAttributes } from "./netlink-message.js";
import {
  enlargeSendBuffer,
  NetlinkProtocol,
  openForRequests,
  receive,
  request,
} from "./netlink-socket.js";

/** Netfilter families, by `NFPROTO_…` number; `inet` is both. */
export const NfFamily = { inet: 1, ipv4: 2, ipv6: 10 } as const;

/** `NFT_MSG_…` numbers. */
export const NfMessage = {
  newTable: 0,
  getTable: 1,
  deleteTable: 2,
  newChain: 3,
  newRule: 6,
  getRule: 7,
  newSet: 9,
  newElements: 12,
  getElements: 13,
} as const;

const subsystem = 10;
/** Bytes of the fixed header `struct nfgenmsg`. */
const headerBytes = 4;
const Batch = { begin: 16, end: 17 } as const;
const listElement = 1;

/** A step of a transaction on tables of the family `inet`. */
export interface NfStep {
  /** Of {@link NfMessage}. */
  readonly type: number;
  /** `MessageFlag` create, append. */
  readonly flags: number;
  readonly attributes: readonly Uint8Array[];
}

/**
 * Carries steps out in the network namespace of this thread: all of them at one moment, or none.
 *
 * @param tried as in "cannot …": `write nftables table sluice`
 * @throws SluiceError SLUICE_NETLINK_FAILED, its cause a SystemError with the kernel's errno; SLUICE_NO_CAPABILITY
 */
export function nfTransaction(steps: readonly NfStep[], tried: string): void {
  const begin = encodeRequest(Batch.begin, 0, 0, header(0, subsystem));
  const end = encodeRequest(Batch.end, 0, steps.length + 1, header(0, subsystem));
  const requests = steps.map(({ type, flags, attributes }, index) => {
    const isLast = index === steps.length - 1;
    const payload = Buffer.concat([header(NfFamily.inet), ...attributes]);
    // The kernel tells of what it refuses in any case, and before it acknowledges.
    const all = flags | (isLast ? MessageFlag.acknowledge : 0);
    return encodeRequest(messageType(type), all, index + 1, payload);
  });
  const bytes = Buffer.concat([begin, ...requests, end]);
  const fd = openForRequests(NetlinkProtocol.netfilter);
  try {
    enlargeSendBuffer(fd, bytes.length * 2);
    if (libc().send(fd, bytes, bytes.length, 0) < 0) {
      const cause = lastError("send");
      throw datapathError("SLUICE_NETLINK_FAILED", `cannot ${tried}`, { cause });
    }
    untilAnswered(fd, tried);
  } finally {
    closeSync(fd);
  }
}

function untilAnswered(fd: number, tried: string): void {
  for (;;) {
    for (const message of receive(fd) ?? []) {
      if (message.type !== ControlType.error) continue;
      if (refusalErrno(message) !== 0) throw refusal(message, tried);
      return;
    }
  }
}

/**
 * Lists what tables of the family `inet` have; empty when there is no such table.
 *
 * @param type of {@link NfMessage}: getTable, getRule, getElements
 */
export function nfList(
  type: number,
  attributes: readonly Uint8Array[],
  tried: string,
): readonly Attributes[] {
  const payload = Buffer.concat([header(NfFamily.inet), ...attributes]);
  const answer = unlessRefused([Errno.ENOENT], () =>
    request(messageType(type), MessageFlag.dump, payload, tried, NetlinkProtocol.netfilter),
  );
  return (answer ?? []).map((message) => parseAttributes(message.payload, headerBytes));
}

function messageType(type: number): number {
  return (subsystem << 8) | type;
}

function header(family: number, resource = 0): Buffer {
  return Buffer.from([family, 0, resource >> 8, resource & 255]);
}

/** A number in the byte order of the network, as nf_tables has all of them. */
export function numberAttribute(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return attribute(type, bytes);
}

/** An attribute with a list of things in it, each of which is attributes. */
export function listAttribute(type: number, elements: readonly (readonly Uint8Array[])[]): Buffer {
  return nested(
    type,
    elements.map((attributes) => nested(listElement, attributes)),
  );
}

/** The contents of {@link listAttribute}, which repeats one attribute. */
export function* parseList(bytes: Buffer): Generator<Attributes> {
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) return;
    yield parseAttributes(bytes.subarray(at, at + length), 4);
    at += (length + 3) & ~3;
  }
}

/** A step of the program that a rule is. */
export function expression(name: string, data: readonly Uint8Array[] = []): readonly Uint8Array[] {
  return [stringAttribute(1, name), nested(2, data)];
}
