import { closeSync } from "node:fs";
import { lastError, libc } from "./libc.js";
import { datapathError } from "./errors.js";
import {
  type Attributes,
  ControlType,
  encodeRequest,
  parseAttributes,
  parseMessages,
} from "./netlink-message.js";

/** What a driver offers to XDP, by bit of `enum netdev_xdp_act`. */
const features = [
  "basic",
  "redirect",
  "redirect-target",
  "zero-copy-sockets",
  "offload",
  "multi-buffer",
  "multi-buffer-target",
] as const;
export type XdpFeature = (typeof features)[number];

const familyNetlink = 16;
const rawSocket = 3;
const closeOnExec = 0o2000000;
const protocolGeneric = 16;
const genericHeaderBytes = 4;
const controlFamily = 16;
const getFamily = 3;
const familyName = 2;
const familyId = 1;
const getDevice = 1;
const deviceIfIndex = 1;
const deviceXdpFeatures = 3;

/**
 * What the driver of an interface of this network namespace offers to XDP.
 *
 * @returns undefined when this kernel (before 6.3) or interface does not tell
 * @throws SluiceError SLUICE_NETLINK_FAILED when netlink cannot be used at all
 */
export function xdpFeatures(index: number): readonly XdpFeature[] | undefined {
  const fd = libc().socket(familyNetlink, rawSocket | closeOnExec, protocolGeneric);
  if (fd < 0) {
    const cause = lastError("socket");
    throw datapathError("SLUICE_NETLINK_FAILED", "cannot open a netlink socket", { cause });
  }
  try {
    const family = ask(
      fd,
      controlFamily,
      getFamily,
      attribute(familyName, Buffer.from("netdev\0")),
    );
    const id = family?.get(familyId)?.readUInt16LE();
    if (id === undefined) return undefined;
    const number = Buffer.alloc(4);
    number.writeUInt32LE(index);
    const device = ask(fd, id, getDevice, attribute(deviceIfIndex, number));
    const bits = device?.get(deviceXdpFeatures)?.readBigUInt64LE();
    return bits === undefined
      ? undefined
      : features.filter((_, bit) => ((bits >> BigInt(bit)) & 1n) === 1n);
  } finally {
    closeSync(fd);
  }
}

function attribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(4 + ((value.length + 3) & ~3));
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  value.copy(bytes, 4);
  return bytes;
}

/** Attributes of the one answer; undefined for an error. */
function ask(fd: number, type: number, command: number, body: Buffer): Attributes | undefined {
  const header = Buffer.from([command, 1, 0, 0]);
  const request = encodeRequest(type, 0, type, Buffer.concat([header, body]));
  if (libc().send(fd, request, request.length, 0) < 0) return undefined;
  const answer = Buffer.alloc(16_384);
  const length = libc().recv(fd, answer, answer.length, 0);
  if (length < 0) return undefined;
  const [message] = [...parseMessages(answer.subarray(0, length))];
  if (message === undefined || message.type === ControlType.error) return undefined;
  return parseAttributes(message.payload, genericHeaderBytes);
}
