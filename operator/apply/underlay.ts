import {
  type InterfaceAddress,
  listAddresses,
  listDefaultRoutes,
  listInterfaces,
  type NetworkInterface,
} from "../../datapath/index.js";

/** Devices of tunnels, by the family of the packets around. */
export const TUNNEL_DEVICES = { 4: "sluice.vxlan", 6: "sluice.vxlan6" } as const;

const USUAL_MTU = 1500;
const POD_LINK = /^slc[0-9a-f]{11}$/;

/** The interfaces of this node that are not Sluice's own, and their addresses. */
export interface Underlay {
  readonly interfaces: readonly NetworkInterface[];
  readonly addresses: readonly InterfaceAddress[];
  /** Changes with anything that routes depend on. */
  readonly fingerprint: string;
}

/** @throws SluiceError SLUICE_NETLINK_FAILED */
export function readUnderlay(): Underlay {
  const own: ReadonlySet<string> = new Set(Object.values(TUNNEL_DEVICES));
  const all = listInterfaces();
  const interfaces = all.filter(({ name }) => !own.has(name) && !POD_LINK.test(name));
  const indices = new Set(interfaces.map(({ index }) => index));
  const addresses = listAddresses().filter(({ index }) => indices.has(index));
  const tunnels = all.filter(({ name }) => own.has(name));
  const fingerprint = JSON.stringify([
    [...interfaces, ...tunnels].map(({ index, name, mtu, isUp, mac, hasCarrier }) => {
      return [index, name, mtu, isUp, mac, hasCarrier];
    }),
    addresses.map(({ index, address }) => [index, address]),
  ]);
  return { interfaces, addresses, fingerprint };
}

/**
 * Bytes of payload of the interface that has an address of this node; without one, the least of the interfaces that
 * default routes lead to.
 */
export function underlayMtu({ interfaces, addresses }: Underlay, address?: string): number {
  const index = addresses.find((one) => one.address === address)?.index;
  const uplinks =
    index === undefined
      ? new Set(listDefaultRoutes().map((route) => route.index))
      : new Set([index]);
  const mtus = interfaces.filter((one) => uplinks.has(one.index)).map(({ mtu }) => mtu);
  return mtus.length === 0 ? USUAL_MTU : Math.min(...mtus);
}
