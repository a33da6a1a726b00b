import { Errno } from "./errors.js";
import type { IfIndex } from "./handles.js";
import { RouteMessage } from "./netlink.js";
import {
  attribute,
  checkIndex,
  checkInteger,
  encodeAddress,
  Family,
  formatAddress,
  namesByNumber,
  u32Attribute,
} from "./netlink-attributes.js";
import { unlessRefused } from "./netlink-failure.js";
import { MessageFlag, parseAttributes } from "./netlink-message.js";
import { change, request } from "./netlink-socket.js";

/** Bytes of the fixed header `struct ifaddrmsg`. */
const ifAddressBytes = 8;
/** `IFA_…` attributes. */
const IfAddress = { address: 1, local: 2, flags: 8 } as const;
/** `IFA_F_…` bits. */
const AddressFlag = { nodad: 0x02, noPrefixRoute: 0x200 } as const;

/** Where an address or a route is valid, by its number in the kernel. */
export const Scope = { global: 0, site: 200, link: 253, host: 254 } as const;
export type ScopeName = keyof typeof Scope;
const scopeNames = namesByNumber(Scope);

export function scopeName(number: number): ScopeName | "other" {
  return scopeNames.get(number) ?? "other";
}

/** An address of an interface. */
export interface InterfaceAddress {
  readonly index: IfIndex;
  readonly family: 4 | 6;
  /** Without prefix: `192.0.2.1`, `2001:db8::1`. */
  readonly address: string;
  readonly prefixLength: number;
  readonly scope: ScopeName | "other";
}

/**
 * IPv4 and IPv6 addresses of the network namespace of this thread, or of one of its interfaces.
 *
 * @throws SluiceError SLUICE_NETLINK_FAILED
 */
export function listAddresses(index?: IfIndex): readonly InterfaceAddress[] {
  const header = Buffer.alloc(ifAddressBytes);
  if (index !== undefined) header.writeUInt32LE(checkIndex(index), 4);
  const messages = unlessRefused([Errno.ENODEV], () =>
    request(RouteMessage.getAddress, MessageFlag.dump, header, "list the addresses"),
  );
  return (messages ?? []).flatMap(({ payload }) => {
    const attributes = parseAttributes(payload, ifAddressBytes);
    // On point-to-point interfaces ADDRESS is the peer's and LOCAL the own one; IPv6 has no LOCAL.
    const bytes = attributes.get(IfAddress.local) ?? attributes.get(IfAddress.address);
    if (bytes === undefined) return [];
    return {
      index: payload.readUInt32LE(4) as IfIndex,
      family: payload.readUInt8(0) === Family.inet6 ? 6 : 4,
      address: formatAddress(bytes),
      prefixLength: payload.readUInt8(1),
      scope: scopeName(payload.readUInt8(3)),
    };
  });
}

/** An address to give to an interface. */
export interface NewAddress {
  /** Without prefix: `192.0.2.1`, `2001:db8::1`. */
  readonly address: string;
  /** Bits of the prefix: 32 or 128 for an address without neighbours. */
  readonly length: number;
  /** IPv6: usable at once, without asking the wire whether somebody has it; default false. */
  readonly nodad?: boolean | undefined;
  /** Default global. */
  readonly scope?: ScopeName | undefined;
  /** Leaves out the route to the prefix that the kernel otherwise adds; default false. */
  readonly noPrefixRoute?: boolean | undefined;
}

/**
 * Gives an interface an address.
 *
 * @throws SluiceError SLUICE_BAD_VALUE; SLUICE_NETLINK_FAILED, also when it has this address
 *   (cause EEXIST); SLUICE_NO_CAPABILITY
 */
export function addAddress(index: IfIndex, address: NewAddress): void {
  writeAddress(index, address, MessageFlag.exclusive);
}

/** Like {@link addAddress}, but the interface may have the address already. */
export function replaceAddress(index: IfIndex, address: NewAddress): void {
  writeAddress(index, address, MessageFlag.replace);
}

function writeAddress(index: IfIndex, wanted: NewAddress, mode: number): void {
  const { address, length, nodad = false, noPrefixRoute = false, scope = "global" } = wanted;
  const flags = (nodad ? AddressFlag.nodad : 0) | (noPrefixRoute ? AddressFlag.noPrefixRoute : 0);
  const payload = Buffer.concat([
    encodeOwnAddress(index, address, length, Scope[scope]),
    u32Attribute(IfAddress.flags, flags, "flags"),
  ]);
  const tried = `add address ${address}/${length} to interface ${index}`;
  change(RouteMessage.newAddress, MessageFlag.create | mode, payload, tried);
}

/**
 * Takes an address from an interface.
 *
 * @returns false when it did not have it, or is gone itself
 * @throws SluiceError SLUICE_BAD_VALUE, SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY
 */
export function deleteAddress(
  index: IfIndex,
  { address, length }: Pick<NewAddress, "address" | "length">,
): boolean {
  const payload = encodeOwnAddress(index, address, length, Scope.global);
  const tried = `delete address ${address}/${length} of interface ${index}`;
  const isDeleted = unlessRefused([Errno.EADDRNOTAVAIL, Errno.ENODEV], () => {
    change(RouteMessage.delAddress, 0, payload, tried);
    return true;
  });
  return isDeleted ?? false;
}

function encodeOwnAddress(index: number, address: string, length: number, scope: number): Buffer {
  const { family, bytes, bits } = encodeAddress(address);
  const header = Buffer.alloc(ifAddressBytes);
  header.writeUInt8(family, 0);
  header.writeUInt8(checkInteger(length, bits, "prefix length"), 1);
  header.writeUInt8(scope, 3);
  header.writeUInt32LE(checkIndex(index), 4);
  const local = attribute(IfAddress.local, bytes);
  return Buffer.concat([header, local, attribute(IfAddress.address, bytes)]);
}
