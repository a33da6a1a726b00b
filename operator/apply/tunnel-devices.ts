import {
  changeLink,
  createVxlan,
  deleteAddress,
  deleteLink,
  getSysctl,
  type IfIndex,
  linkByName,
  listAddresses,
  type NetworkInterface,
  readVxlan,
  replaceAddress,
  setSysctl,
  type VxlanDevice,
} from "../../datapath/index.js";
import { SluiceError } from "../errors.js";
import { TUNNEL_DEVICES } from "./underlay.js";

/** What a tunnel device is made with. */
export interface TunnelSpec {
  readonly family: 4 | 6;
  readonly local: string;
  readonly port: number;
  readonly vni: number;
  readonly mac: string;
  /** Bytes of payload. */
  readonly mtu: number;
}

/** By which a device that stands there already is known to be ours. */
const ALIAS = "sluice";

/**
 * Makes the tunnel device of a family, or changes the one that is there. One made with other values is made anew: what
 * led through it is gone then.
 *
 * @param sysctlFolder where /proc/sys can be written
 * @throws SluiceError SLUICE_FOREIGN_DEVICE when the name is another's; SLUICE_NETLINK_FAILED
 */
export function ensureTunnelDevice(spec: TunnelSpec, sysctlFolder: string): NetworkInterface {
  const name = TUNNEL_DEVICES[spec.family];
  const found = readVxlan(name);
  if (found === undefined || !isMadeAs(found, spec)) {
    deleteTunnelDevice(spec.family);
    create(name, spec);
  }
  const { index, mtu, mac, alias, isUp } = linkByName(name) ?? vanished(name);
  if (mtu !== spec.mtu || mac !== spec.mac || alias !== ALIAS) {
    changeLink(index, { mtu: spec.mtu, mac: spec.mac, alias: ALIAS });
  }
  const conf = `net.ipv6.conf.${name.replaceAll(".", "/")}`;
  // Neighbours are told to it, and nobody is asked: it needs no address of its own, and no advertisement is for it.
  ensureSysctl(`${conf}.addr_gen_mode`, "1", sysctlFolder);
  ensureSysctl(`${conf}.accept_ra`, "0", sysctlFolder);
  ensureSysctl(`${conf}.disable_ipv6`, "0", sysctlFolder);
  if (!isUp) changeLink(index, { isUp: true });
  return linkByName(name) ?? vanished(name);
}

/**
 * Gives a tunnel device the IPv4 address of the node, as a second place of it. Without one, what others masquerade into
 * the tunnel (kube-proxy: NodePorts) would get the address of whatever interface comes first.
 */
export function ensureTunnelAddress(index: IfIndex, ipv4: string | undefined): void {
  for (const { address, family, prefixLength } of listAddresses(index)) {
    if (family === 4 && address !== ipv4) deleteAddress(index, { address, length: prefixLength });
  }
  if (ipv4 !== undefined && !listAddresses(index).some(({ address }) => address === ipv4)) {
    replaceAddress(index, { address: ipv4, length: 32, noPrefixRoute: true });
  }
}

function create(name: string, { local, port, vni, mac, mtu }: TunnelSpec): void {
  try {
    // Packets that must not be cut in pieces are not cut on the way either: their sender learns of a smaller MTU.
    createVxlan({ name, id: vni, port, local, mac, mtu, dontFragment: "inherit" });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SluiceError("SLUICE_NO_TUNNEL_DEVICE", `cannot make ${name}: ${why}`, {
      remedy:
        "Load the module vxlan, give another --vxlan-port or --vxlan-vni if another device has it, or use --pod-routing direct",
      cause,
    });
  }
}

function isMadeAs({ id, port, local, isLearning, dontFragment }: VxlanDevice, spec: TunnelSpec) {
  return (
    id === spec.vni &&
    port === spec.port &&
    local === spec.local &&
    !isLearning &&
    dontFragment === "inherit"
  );
}

/**
 * Deletes the tunnel device of a family.
 *
 * @returns false when there was none
 * @throws SluiceError SLUICE_FOREIGN_DEVICE, SLUICE_NETLINK_FAILED
 */
export function deleteTunnelDevice(family: 4 | 6): boolean {
  const name = TUNNEL_DEVICES[family];
  const found = linkByName(name);
  if (found === undefined) return false;
  // One that was killed before it had its alias is empty.
  if (found.kind !== "vxlan" || (found.alias ?? ALIAS) !== ALIAS) {
    const problem = `the node has another interface ${name} (${found.kind ?? "a NIC"}, alias "${found.alias ?? ""}")`;
    throw new SluiceError("SLUICE_FOREIGN_DEVICE", problem, { remedy: "Remove or rename it" });
  }
  return deleteLink(name);
}

function ensureSysctl(name: string, value: string, folder: string): void {
  try {
    if (getSysctl(name) !== value) setSysctl(name, value, folder);
  } catch (error) {
    // A kernel without IPv6.
    if (!(error instanceof SluiceError) || !error.message.includes("no such parameter"))
      throw error;
  }
}

function vanished(name: string): never {
  throw new SluiceError("SLUICE_NO_INTERFACE", `interface ${name} was removed meanwhile`);
}
