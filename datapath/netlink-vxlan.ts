import { datapathError, Errno } from "./errors.js";
import type { IfIndex } from "./handles.js";
import type { NetworkInterface } from "./netlink.js";
import { Ifla, IflaInfo, ifInfoBytes, parseInterface, RouteMessage } from "./netlink.js";
import {
  attribute,
  checkIndex,
  checkInteger,
  checkInterfaceName,
  encodeAddress,
  encodeMac,
  Family,
  formatAddress,
  portAttribute,
  stringAttribute,
  u32Attribute,
  u8Attribute,
} from "./netlink-attributes.js";
import { unlessRefused } from "./netlink-failure.js";
import { createLink, ifInfo } from "./netlink-links.js";
import { attributeU32, parseAttributes } from "./netlink-message.js";
import { request } from "./netlink-socket.js";

/** `IFLA_VXLAN_…` attributes. */
const Vxlan = {
  id: 1,
  link: 3,
  local: 4,
  learning: 7,
  port: 15,
  local6: 17,
  external: 25,
  dontFragment: 29,
} as const;
const dontFragments = ["unset", "set", "inherit"] as const;
/** Of the IPv4 header around: never, always, or as the packet inside has it. */
export type DontFragment = (typeof dontFragments)[number];
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
  /** Default unset: routers on the way may cut packets of the tunnel in pieces. */
  readonly dontFragment?: DontFragment | undefined;
  readonly isUp?: boolean | undefined;
}

/**
 * Makes a VXLAN device in the network namespace of this thread.
 *
 * @throws SluiceError SLUICE_BAD_VALUE, SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY
 */
export function createVxlan(options: CreateVxlanOptions): NetworkInterface {
  const { name, id, port, local, device, mac, mtu, isUp } = options;
  const { isExternal = false, isLearning = false, dontFragment = "unset" } = options;
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
    // A kernel without it would refuse the device.
    ...(dontFragment === "unset"
      ? []
      : [u8Attribute(Vxlan.dontFragment, dontFragments.indexOf(dontFragment))]),
  ];
  return createLink("vxlan", name, own, data, `create VXLAN device ${name}`);
}

function localAddress(address: string): readonly Buffer[] {
  const { family, bytes } = encodeAddress(address);
  return family === Family.inet
    ? [attribute(Vxlan.local, bytes)]
    : [attribute(Vxlan.local6, bytes)];
}

/** What a VXLAN device was made with. */
export interface VxlanDevice {
  readonly interface: NetworkInterface;
  /** Undefined when routes or programs give it per packet. */
  readonly id: number | undefined;
  readonly port: number;
  readonly local: string | undefined;
  readonly isLearning: boolean;
  readonly dontFragment: DontFragment;
}

/**
 * Reads a VXLAN device; undefined when there is no interface of the name, or one of another kind.
 *
 * @throws SluiceError SLUICE_NETLINK_FAILED
 */
export function readVxlan(name: string): VxlanDevice | undefined {
  const payload = Buffer.concat([ifInfo(0), stringAttribute(Ifla.name, checkInterfaceName(name))]);
  const answer = unlessRefused([Errno.ENODEV], () =>
    request(RouteMessage.getLink, 0, payload, `read VXLAN device ${name}`),
  );
  const bytes = answer?.[0]?.payload;
  if (bytes === undefined) return undefined;
  const found = parseInterface(bytes);
  const info = parseAttributes(bytes, ifInfoBytes).get(Ifla.linkInfo);
  if (info === undefined || found.kind !== "vxlan") return undefined;
  const data = parseAttributes(parseAttributes(info).get(IflaInfo.data) ?? Buffer.alloc(0));
  const local = data.get(Vxlan.local) ?? data.get(Vxlan.local6);
  return {
    interface: found,
    id: data.get(Vxlan.external)?.readUInt8() === 1 ? undefined : attributeU32(data, Vxlan.id),
    port: data.get(Vxlan.port)?.readUInt16BE() ?? 0,
    // Zeros stand for none.
    local: local?.some((byte) => byte !== 0) === true ? formatAddress(local) : undefined,
    isLearning: data.get(Vxlan.learning)?.readUInt8() === 1,
    dontFragment: dontFragments[data.get(Vxlan.dontFragment)?.readUInt8() ?? 0] ?? "unset",
  };
}
