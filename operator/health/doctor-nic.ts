import { type NicChannels, nicChannels, nicDriver, rssQueues } from "../../datapath/ethtool.js";
import type { NetworkInterface } from "../../datapath/netlink.js";
import { type XdpFeature, xdpFeatures } from "../../datapath/xdp-features.js";
import type { Finding } from "./doctor.js";

/** One interface as XDP sees it. */
export interface NicReport {
  readonly name: string;
  readonly driver: string;
  readonly isUp: boolean;
  readonly mtu: number;
  /** Receive queues in use: as many CPUs can work on its packets. */
  readonly rxQueues: number;
  /** As many as the driver would give; undefined when it does not tell. */
  readonly maxRxQueues?: number;
  /** Queues among which flows are spread; undefined for NICs without RSS. */
  readonly rssQueues?: number;
  /** Undefined when the kernel does not tell (before 6.3). */
  readonly xdpFeatures?: readonly XdpFeature[];
  /** Program that is attached now. */
  readonly attached?: { readonly mode: string; readonly programIds: readonly number[] };
  readonly findings: readonly Finding[];
}

/**
 * Above this, a packet does not fit one page beside its headroom, and native XDP needs fragments.
 */
const onePageMtu = 3498;

export function examineNic(found: NetworkInterface, cpus: number): NicReport {
  const { name } = found;
  const channels = nicChannels(name);
  const rss = rssQueues(name);
  const features = xdpFeatures(found.index);
  const rxQueues = channels === undefined ? found.rxQueues : channels.rx + channels.combined;
  const most = channels && channels.maxRx + channels.maxCombined;
  return {
    name,
    driver: nicDriver(name) ?? found.kind ?? "unknown",
    isUp: found.isUp,
    mtu: found.mtu,
    rxQueues,
    ...(most !== undefined && { maxRxQueues: most }),
    ...(rss !== undefined && { rssQueues: rss }),
    ...(features !== undefined && { xdpFeatures: features }),
    ...(found.xdp !== undefined && { attached: found.xdp }),
    findings: [modeFinding(found, features), ...queueFindings(name, cpus, rxQueues, channels, rss)],
  };
}

function modeFinding(
  { name, mtu }: NetworkInterface,
  features: readonly XdpFeature[] | undefined,
): Finding {
  const about = { area: name, name: "XDP mode" };
  if (features === undefined) {
    return { ...about, grade: "ok", text: "the kernel does not tell; the agent tries native mode" };
  }
  if (!features.includes("basic")) {
    return {
      ...about,
      grade: "note",
      text: "the driver has no native mode: generic mode, several times slower",
      remedy: "Use a NIC whose driver has native XDP if packet rates are high",
    };
  }
  if (mtu > onePageMtu && !features.includes("multi-buffer")) {
    return {
      ...about,
      grade: "note",
      text: `MTU ${mtu} is too large for native mode on this driver: generic mode`,
      remedy: `ip link set dev ${name} mtu ${onePageMtu}, or smaller`,
    };
  }
  return { ...about, grade: "ok", text: "native" };
}

function queueFindings(
  name: string,
  cpus: number,
  rxQueues: number,
  channels: NicChannels | undefined,
  rss: number | undefined,
): readonly Finding[] {
  const findings: Finding[] = [];
  const kind = channels !== undefined && channels.maxCombined > 0 ? "combined" : "rx";
  const most = channels === undefined ? 0 : Math.max(channels.maxCombined, channels.maxRx);
  const wanted = Math.min(cpus, most);
  if (rxQueues < wanted) {
    findings.push({
      area: name,
      name: "receive queues",
      grade: "note",
      text: `${rxQueues} of ${most}: only ${rxQueues} of ${cpus} CPUs can judge packets`,
      remedy: `ethtool -L ${name} ${kind} ${wanted}`,
    });
  } else {
    findings.push({ area: name, name: "receive queues", grade: "ok", text: String(rxQueues) });
  }
  if (rss !== undefined && rss < rxQueues) {
    findings.push({
      area: name,
      name: "RSS",
      grade: "note",
      text: `flows are spread among ${rss} of ${rxQueues} queues`,
      remedy: `ethtool -X ${name} equal ${rxQueues}`,
    });
  } else if (rss !== undefined) {
    findings.push({ area: name, name: "RSS", grade: "ok", text: `${rss} queues` });
  }
  return findings;
}
