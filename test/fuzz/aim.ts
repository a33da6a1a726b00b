/** Packets aimed at the rules of a world: most hit, the rest miss by a hair. */

import type {
  Cidr,
  Peer,
  PortRange,
  ProtocolMatch,
  RuleRecord,
} from "../../operator/model/records.js";
import { type Address, entriesOf, type Family, parseCidr } from "../oracle/address.js";
import { selectorMatches } from "../oracle/match.js";
import type { World } from "../oracle/world.js";
import { type FrameSpec, icmp, sctp, TCP_FLAG_BITS, tcp, udp } from "./frame.js";
import { addressBeside, addressInside, anyAddress } from "./generate-addresses.js";
import { generateIcmpType, generatePort, generateProtocols } from "./generate-rules.js";
import type { Random } from "./random.js";

/** What of a world a packet can be aimed at. */
export interface Targets {
  readonly rules: readonly RuleRecord[];
  /** Blocks that a peer names; `except` blocks are among them. */
  blocksOf(peer: Peer): readonly Cidr[];
  /** All blocks of all peers. */
  readonly blocks: readonly Cidr[];
}

/** What a frame is made of before its headers vary. */
export type Aimed = Pick<FrameSpec, "source" | "destination" | "protocol" | "payload"> & {
  readonly wantsFragment: boolean;
  readonly wantsOptions: boolean;
};

const MARTIANS: Record<Family, readonly Cidr[]> = {
  4: ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4"].map(parseCidr),
  6: ["::/128", "::1/128", "::ffff:0:0/96", "ff00::/8"].map(parseCidr),
};

export function targetsOf(world: World): Targets {
  const rules = [...world.failSafe, ...world.policies.flatMap((policy) => policy.rules)];
  const setBlocks = new Map(
    [...world.sets].map(([name, list]) => [name, entriesOf(list).map((entry) => entry.cidr)]),
  );
  const blocksOf = (peer: Peer): readonly Cidr[] => {
    switch (peer.kind) {
      case "cidr":
        return [peer.cidr, ...peer.except];
      case "cidrSet":
        return setBlocks.get(peer.setName) ?? [];
      case "nodes":
        return world.nodes
          .filter((node) => selectorMatches(peer.selector, node.labels))
          .flatMap((node) => node.addresses);
    }
  };
  const peers = rules.flatMap((rule) => [...rule.from, ...rule.to]);
  const inline = peers.filter((peer) => peer.kind === "cidr").flatMap(blocksOf);
  const nodes = world.nodes.flatMap((node) => node.addresses);
  return { rules, blocksOf, blocks: [...inline, ...[...setBlocks.values()].flat(), ...nodes] };
}

/** Aims at one rule of the world, or, when it has none, anywhere. */
export function aim(random: Random, targets: Targets): Aimed {
  const rule = targets.rules.length > 0 ? random.pick(targets.rules) : undefined;
  const from = blocksOfAll(random, targets, rule?.from ?? []);
  const to = blocksOfAll(random, targets, rule?.to ?? []);
  const family =
    random.pick([...from, ...to, ...targets.blocks, undefined])?.family ?? random.pick([4, 6]);

  let source = aimAddress(random, from, family);
  let destination = aimAddress(random, to, family);
  const match =
    rule !== undefined && rule.protocols.length > 0 && random.chance(0.9)
      ? random.pick(rule.protocols)
      : random.pick(generateProtocols(random, 1));
  const facts = aimProtocol(random, match);
  let { protocol, ports, flags } = facts;

  const trait = rule !== undefined && rule.traits.length > 0 ? random.pick(rule.traits) : undefined;
  if (trait === "SameAddress" || (trait === "Bogon" && random.chance(0.3)) || random.chance(0.01)) {
    destination = source;
  }
  if (
    trait === "MartianSource" ||
    (trait === "Bogon" && random.chance(0.4)) ||
    random.chance(0.02)
  ) {
    source = martianAddress(random, family);
    if (random.chance(0.3)) {
      // The exceptions: DHCP and duplicate address detection.
      protocol = family === 4 ? 17 : 58;
      ports = { source: 68, destination: random.pick([67, 67, 68]) };
    }
  }
  if (trait === "ZeroPort" || (trait === "Bogon" && random.chance(0.3))) {
    ports = random.chance(0.5) ? { ...ports, source: 0 } : { ...ports, destination: 0 };
  }
  if (trait === "ImpossibleTCPFlags") {
    flags = random.between(0, 63);
  }

  const data = random.bytes(
    random.weighted([3, 0], [6, random.between(0, 40)], [1, random.between(0, 1400)]),
  );
  const payload = transportBytes(random, { ...facts, protocol, ports, flags }, data);
  return {
    source,
    destination,
    protocol,
    payload: random.chance(0.05) ? payload.subarray(0, random.between(0, payload.length)) : payload,
    wantsFragment: trait === "Fragment",
    wantsOptions: trait === "IPOptions",
  };
}

function blocksOfAll(random: Random, targets: Targets, peers: readonly Peer[]): readonly Cidr[] {
  const blocks = peers.length === 0 ? [] : targets.blocksOf(random.pick(peers));
  if (blocks.length > 0) {
    return blocks;
  }
  return targets.blocks.length > 0 && random.chance(0.7) ? [random.pick(targets.blocks)] : [];
}

function aimAddress(random: Random, blocks: readonly Cidr[], family: Family): Address {
  const candidates = blocks.filter((block) => block.family === family);
  if (candidates.length === 0) {
    return anyAddress(random, family);
  }
  const block = random.pick(candidates);
  return random.weighted<(block: Cidr) => Address>(
    [16, (block) => addressInside(random, block)],
    [3, (block) => addressBeside(random, block)],
    [1, () => anyAddress(random, family)],
  )(block);
}

function martianAddress(random: Random, family: Family): Address {
  if (random.chance(0.3)) {
    return { family, value: 0n };
  }
  const block = random.pick(MARTIANS[family]);
  return random.chance(0.8) ? addressInside(random, block) : addressBeside(random, block);
}

interface TransportFacts {
  readonly protocol: number;
  readonly ports: { readonly source: number; readonly destination: number };
  /** The byte on the wire. */
  readonly flags: number;
  readonly type: number;
  readonly code: number;
}

function aimProtocol(random: Random, match: ProtocolMatch): TransportFacts {
  const usualFlags = random.pick([0x02, 0x10, 0x12, 0x18, 0x11, 0x04, 0x14]);
  const facts: TransportFacts = {
    protocol: 0,
    ports: { source: generatePort(random), destination: generatePort(random) },
    flags: random.chance(0.8) ? usualFlags : random.between(0, 255),
    type: generateIcmpType(random),
    code: random.pick([0, 0, 1, 4]),
  };
  switch (match.kind) {
    case "tcp":
    case "udp":
    case "sctp": {
      const protocol = { tcp: 6, udp: 17, sctp: 132 }[match.kind];
      const ports = {
        source: aimPort(random, match.sourcePort, facts.ports.source),
        destination: aimPort(random, match.destinationPort, facts.ports.destination),
      };
      const flags = match.kind === "tcp" ? aimFlags(random, match, facts.flags) : facts.flags;
      return { ...facts, protocol, ports, flags };
    }
    case "icmp":
    case "icmpv6":
      return {
        ...facts,
        protocol: match.kind === "icmp" ? 1 : 58,
        type: aimByte(random, match.type ?? facts.type),
        code: aimByte(random, match.code ?? facts.code),
      };
    case "protocol":
      return { ...facts, protocol: aimByte(random, match.number) };
  }
}

function aimPort(random: Random, range: PortRange | undefined, otherwise: number): number {
  if (range === undefined) {
    return otherwise;
  }
  const port = random.weighted(
    [5, range.start],
    [5, range.end],
    [4, random.between(range.start, range.end)],
    [2, range.start - 1],
    [2, range.end + 1],
    [1, otherwise],
  );
  return port & 0xffff;
}

function aimFlags(
  random: Random,
  match: Extract<ProtocolMatch, { readonly kind: "tcp" }>,
  otherwise: number,
): number {
  const byteOf = (flags: readonly (keyof typeof TCP_FLAG_BITS)[]) =>
    flags.reduce((sum, flag) => sum | TCP_FLAG_BITS[flag], 0);
  const flags = (otherwise | byteOf(match.flags?.set ?? [])) & ~byteOf(match.flags?.unset ?? []);
  return random.chance(0.2) ? flags ^ (1 << random.between(0, 7)) : flags;
}

function aimByte(random: Random, value: number): number {
  return (random.chance(0.9) ? value : value + random.pick([-1, 1])) & 0xff;
}

function transportBytes(random: Random, facts: TransportFacts, data: Uint8Array): Uint8Array {
  switch (facts.protocol) {
    case 6:
      return tcp(
        facts.ports,
        facts.flags,
        random.weighted([6, 0], [1, random.between(1, 10)]),
        data,
      );
    case 17:
      return udp(facts.ports, data);
    case 132:
      return sctp(facts.ports, data);
    case 1:
    case 58:
      return icmp(facts.type, facts.code, data);
    default:
      return data;
  }
}
