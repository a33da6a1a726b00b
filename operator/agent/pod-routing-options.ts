import { type Command, InvalidArgumentError, type Option } from "commander";
import type { PodRouting } from "../compile/route-rows.js";
import { ANY_CIDR, isFault, readCidr } from "../model/cidr.js";
import type { Cidr } from "../model/records.js";
import { readBoolean, readNumber, splitList } from "./option-values.js";

/** How packets get from this node's pods to other nodes and outside: docs/routing.md. */
export interface PodRoutingOptions {
  readonly routing: PodRouting;
  readonly vxlan: { readonly port: number; readonly vni: number };
  /** Bytes of payload of pods' interfaces; 0: found. */
  readonly mtu: number;
  readonly masquerade: { readonly enabled: boolean; readonly exceptions: readonly Cidr[] };
}

/** As commander delivers them. */
export interface RawPodRoutingOptions {
  readonly podRouting: PodRouting;
  readonly vxlanPort: number;
  readonly vxlanVni: number;
  readonly podMtu: number;
  readonly masquerade: boolean;
  readonly masqueradeExceptions: readonly Cidr[];
}

const modes: readonly PodRouting[] = ["vxlan", "direct", "underlay"];
const largestPort = 65_535;
const largestVni = 0xff_ffff;
const largestMtu = 65_535;

/** @param option makes one that an environment variable sets, too */
export function addPodRoutingOptions(
  command: Command,
  option: (flags: string, description: string) => Option,
): Command {
  return command
    .addOption(
      option(
        "--pod-routing <mode>",
        "with --pod-network, the same on all nodes: vxlan (tunnels), direct (routes over a wire that the nodes share), " +
          "underlay (the network between the nodes routes podCIDRs)",
      )
        .choices(modes)
        .default("vxlan"),
    )
    .addOption(
      option("--vxlan-port <port>", "UDP port of the tunnels, the same on all nodes")
        .argParser(readNumber(1, largestPort))
        .default(4789),
    )
    .addOption(
      option("--vxlan-vni <number>", "network identifier of the tunnels, the same on all nodes")
        .argParser(readNumber(1, largestVni))
        .default(1),
    )
    .addOption(
      option(
        "--pod-mtu <bytes>",
        "MTU of pods; 0: that of the node's uplink, less what the tunnel adds",
      )
        .argParser(readMtu)
        .default(0),
    )
    .addOption(
      option(
        "--masquerade [enabled]",
        "give packets from pods to outside the cluster the address of this node",
      )
        .argParser(readBoolean)
        .preset("true")
        .default(true),
    )
    .addOption(
      option(
        "--masquerade-exceptions <cidr,…>",
        "destinations that see pods' own addresses, besides pods and nodes",
      )
        .argParser(readCidrs)
        .default([], "none"),
    );
}

export function resolvePodRouting(raw: RawPodRoutingOptions): PodRoutingOptions {
  return {
    routing: raw.podRouting,
    vxlan: { port: raw.vxlanPort, vni: raw.vxlanVni },
    mtu: raw.podMtu,
    masquerade: { enabled: raw.masquerade, exceptions: raw.masqueradeExceptions },
  };
}

/** What every IPv6 link has to take is the least. */
function readMtu(text: string): number {
  return text === "0" ? 0 : readNumber(1280, largestMtu)(text);
}

function readCidrs(text: string): readonly Cidr[] {
  return splitList(text).map((part) => {
    const cidr = readCidr(part, ANY_CIDR);
    if (!isFault(cidr)) return cidr;
    throw new InvalidArgumentError(`${cidr.message}. ${cidr.remedy}.`);
  });
}
