import { type CniVersion, isAtLeast } from "./versions.js";

/** The answer to ADD, in the shape of the newest version. */
export interface CniResult {
  readonly interfaces: readonly CniInterface[];
  readonly ips: readonly CniAddress[];
  readonly routes: readonly CniRoute[];
  readonly dns: CniDns | undefined;
}

export interface CniInterface {
  readonly name: string;
  readonly mac?: string;
  readonly mtu?: number;
  /** Path of the network namespace; without: on the host. */
  readonly sandbox?: string;
  readonly socketPath?: string;
  readonly pciID?: string;
}

export interface CniAddress {
  /** With prefix length. */
  readonly address: string;
  readonly gateway?: string;
  /** Index in `interfaces`. */
  readonly interface?: number;
}

export interface CniRoute {
  readonly dst: string;
  readonly gw?: string;
  readonly mtu?: number;
  readonly advmss?: number;
  readonly priority?: number;
  readonly table?: number;
  readonly scope?: number;
}

/** Passed on from the network configuration as it is. */
export type CniDns = Readonly<Record<string, unknown>>;

export const emptyResult: CniResult = { interfaces: [], ips: [], routes: [], dns: undefined };

/** Adds what is ours to what the plugins before reported. */
export function extendResult(before: CniResult, own: CniResult): CniResult {
  const offset = before.interfaces.length;
  const moved = own.ips.map((ip) =>
    ip.interface === undefined ? ip : { ...ip, interface: ip.interface + offset },
  );
  return {
    interfaces: [...before.interfaces, ...own.interfaces],
    ips: [...before.ips, ...moved],
    routes: [...before.routes, ...own.routes],
    dns: own.dns ?? before.dns,
  };
}

/** The result as a version of the specification writes it. */
export function formatResult(result: CniResult, version: CniVersion): object {
  const dns = result.dns === undefined ? {} : { dns: result.dns };
  if (!isAtLeast(version, "0.3.0")) return { ...formatOldest(result, version), ...dns };
  const isNewest = isAtLeast(version, "1.1.0");
  return {
    cniVersion: version,
    interfaces: isNewest
      ? result.interfaces
      : result.interfaces.map(({ name, mac, sandbox }) => ({
          name,
          ...(mac === undefined ? {} : { mac }),
          ...(sandbox === undefined ? {} : { sandbox }),
        })),
    ips: isAtLeast(version, "1.0.0")
      ? result.ips
      : result.ips.map((ip) => ({ version: isV6(ip.address) ? "6" : "4", ...ip })),
    routes: isNewest ? result.routes : result.routes.map(formatRoute),
    ...dns,
  };
}

/** 0.1.0 and 0.2.0 know one address of each family, with its routes. */
function formatOldest({ ips, routes }: CniResult, version: CniVersion): object {
  const family = (wantsV6: boolean) => {
    const ip = ips.find(({ address }) => isV6(address) === wantsV6);
    if (ip === undefined) return undefined;
    return {
      ip: ip.address,
      ...(ip.gateway === undefined ? {} : { gateway: ip.gateway }),
      routes: routes.filter(({ dst }) => isV6(dst) === wantsV6).map(formatRoute),
    };
  };
  const [ip4, ip6] = [family(false), family(true)];
  return {
    cniVersion: version,
    ...(ip4 === undefined ? {} : { ip4 }),
    ...(ip6 === undefined ? {} : { ip6 }),
  };
}

function formatRoute({ dst, gw }: CniRoute): object {
  return gw === undefined ? { dst } : { dst, gw };
}

function isV6(text: string): boolean {
  return text.includes(":");
}
