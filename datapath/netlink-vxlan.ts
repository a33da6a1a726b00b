import { datapathError } from "./errors.js";
import type { IfIndex } from "./handles.js";
import type { NetworkInterface } from "./netlink.js";
import { Ifla } from "./netlink.js";
import {
  attribute,
  checkIndex,
  checkInteger,
  checkInterfaceName,
  encodeAddress,
  encodeMac,
  Family,
  portAttribute,
  stringAttribute,
  u32Attribute,
  u8Attribute,
} from "./netlink-attributes.js";
import { createLink, ifInfo } from "./netlink-links.js";

/** `IFLA_VXLAN_…` attributes. */
const Vxlan = {
  id: 1,
  link: 3,
  local: 4,
  learning: 7,
  port: 15,
  local6: 17,
  external: 25,
} as const;
const largestId = 0xff_ffff;

export interface CreateVxlanOptions {
  /** 1 to 15 bytes. */
  readonly name: string;
  /** Network identifier, 24 bits; left out when `isExternal`. */
  readonly id?: number | undefined;
  /** Whether routes or programs give identifier and remote address per packet; default false. */
  readonly isExternal?: boolean | undefined;
  /** UDP port of both sides: 4789 by the standard, 8472 by old custom. */
  readonly port: number;
  /** Own address of the tunnel; it also says which IP family carries it (default IPv4). */
  readonly local?: string | undefined;
  /** Interface that carries the tunnel; default by the route. */
  readonly device?: IfIndex | undefined;
  readonly mac?: string | undefined;
  /** Bytes of payload; default 50 (IPv6: 70) less than that of `device`, or 1500 without one. */
  readonly mtu?: number | undefined;
  /** Whether the kernel learns MACs from what arrives; default false. */
  readonly isLearning?: boolean | undefined;
  readonly isUp?: boolean | undefined;
}

/**
 * Makes a VXLAN device in the network namespace of this thread.
 *
 * @throws SluiceError SLUICE_BAD_VALUE, SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY
 */
export function createVxlan(options: CreateVxlanOptions): NetworkInterface {
  const { name, id, port, local, device, mac, mtu, isUp } = options;
  const { isExternal = false, isLearning = false } = options;
  if (isExternal === (id !== undefined)) {
    throw datapathError("SLUICE_BAD_VALUE", `VXLAN device ${name} has no way to its identifier`, {
      remedy: "Give either an id or isExternal",
    });
  }
  if (id !== undefined) checkInteger(id, largestId, "VXLAN identifier");
  const own = [
    ifInfo(0, isUp),
    stringAttribute(Ifla.name, checkInterfaceName(name)),
    ...(mac === undefined ? [] : [attribute(Ifla.address, encodeMac(mac))]),
    ...(mtu === undefined ? [] : [u32Attribute(Ifla.mtu, mtu, "MTU")]),
  ];
  const data = [
    ...(id === undefined ? [] : [u32Attribute(Vxlan.id, id, "VXLAN identifier")]),
    ...(isExternal ? [u8Attribute(Vxlan.external, 1)] : []),
    portAttribute(Vxlan.port, port),
    u8Attribute(Vxlan.learning, isLearning ? 1 : 0),
    ...(local === undefined ? [] : localAddress(local)),
    ...(device === undefined ? [] : [u32Attribute(Vxlan.link, checkIndex(device), "device")]),
  ];
  return createLink("vxlan", name, own, data, `create VXLAN device ${name}`);
}

function localAddress(address: string): readonly Buffer[] {
  const { family, bytes } = encodeAddress(address);
  return family === Family.inet
    ? [attribute(Vxlan.local, bytes)]
    : [attribute(Vxlan.local6, bytes)];
}
