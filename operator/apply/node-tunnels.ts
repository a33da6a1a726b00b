import type { NodePaths } from "../compile/node-paths.js";
import { tunnelMac } from "../compile/node-texts.js";
import { TUNNEL_OVERHEAD_BYTES } from "../compile/route-rows.js";
import { deleteTunnelDevice, ensureTunnelAddress, ensureTunnelDevice } from "./tunnel-devices.js";
import { type Underlay, underlayMtu } from "./underlay.js";

export interface TunnelDevice {
  readonly name: string;
  readonly index: number;
  /** Bytes of payload. */
  readonly mtu: number;
}

/** Devices by the family of the packets around. */
export type NodeTunnels = ReadonlyMap<4 | 6, TunnelDevice>;

export interface NodeTunnelsOptions {
  readonly nodeName: string;
  readonly vxlan: { readonly port: number; readonly vni: number };
  readonly sysctlFolder: string;
}

const families = [4, 6] as const;

/** Makes the devices that the paths need, as far as it can. */
export function bringTunnels(
  paths: NodePaths,
  underlay: Underlay,
  { nodeName, vxlan, sysctlFolder }: NodeTunnelsOptions,
  failures: unknown[],
): NodeTunnels {
  const devices = new Map<4 | 6, TunnelDevice>();
  for (const family of families) {
    const local = localEnd(paths, family);
    if (local === undefined) continue;
    const mtu = underlayMtu(underlay, local) - TUNNEL_OVERHEAD_BYTES[family];
    try {
      const spec = { family, local, mtu, mac: tunnelMac(nodeName), ...vxlan };
      const made = ensureTunnelDevice(spec, sysctlFolder);
      devices.set(family, { name: made.name, index: made.index, mtu: made.mtu });
      ensureTunnelAddress(made.index, usableIpv4(paths, underlay));
    } catch (error) {
      failures.push(error);
    }
  }
  return devices;
}

/** Deletes the devices that the paths do not need; somebody else's of the name is left alone. */
export function dropTunnels(paths: NodePaths | undefined, failures: unknown[]): void {
  for (const family of families) {
    if (paths !== undefined && localEnd(paths, family) !== undefined) continue;
    try {
      deleteTunnelDevice(family);
    } catch (error) {
      if (paths !== undefined) failures.push(error);
    }
  }
}

export function sameTunnels(left: NodeTunnels, right: NodeTunnels): boolean {
  const isSame = ([family, { index }]: readonly [4 | 6, TunnelDevice]) =>
    right.get(family)?.index === index;
  return left.size === right.size && [...left].every(isSame);
}

function localEnd({ others }: NodePaths, family: 4 | 6): string | undefined {
  return others.find(({ tunnel }) => tunnel?.family === family)?.tunnel?.local;
}

/** Only one that an interface has: a cloud may translate to it. */
function usableIpv4({ own }: NodePaths, { addresses }: Underlay): string | undefined {
  return addresses.some(({ address }) => address === own?.ipv4) ? own?.ipv4 : undefined;
}
