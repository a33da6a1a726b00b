/** Nodes, sets, policies and fail-safe rules: everything but the packets. */

import type {
  CidrList,
  NodeRecord,
  RuleRecord,
  XdpPolicyRecord,
} from "../../operator/model/records.js";
import { type Family, cidrListOf, makeCidr, type SetEntry } from "../oracle/address.js";
import type { World } from "../oracle/world.js";
import { addressInside, anyAddress, blockInside, generateCidrs } from "./generate-addresses.js";
import {
  FAR_AHEAD_MS,
  generateProtocols,
  generateRule,
  generateRuleWith,
  generateSelector,
  LABELS,
  LONG_AGO_MS,
  type Palette,
} from "./generate-rules.js";
import type { Random } from "./random.js";

/** Every world has these, so that a subject can make them once. Redirects lead to them too. */
export const INTERFACES = ["eth0", "eth1", "ens3f0", "wan"] as const;

const GLOBS = ["*", "eth*", "eth?", "e*0", "???", "eth0", "wan", "*s3*", "eth", "none*"];

/** Between {@link LONG_AGO_MS} and {@link FAR_AHEAD_MS}, like the time of the real clock. */
const NOW_MS = Date.UTC(2026, 0, 1);

const ORIGIN = { source: "fuzz" };

/** How much a world holds: upper bounds. */
interface Size {
  readonly policies: number;
  readonly rules: number;
  readonly cidrs: number;
  readonly entries: number;
}

const SMALL: Size = { policies: 2, rules: 4, cidrs: 6, entries: 8 };
const MEDIUM: Size = { policies: 8, rules: 15, cidrs: 20, entries: 100 };
const LARGE: Size = { policies: 20, rules: 40, cidrs: 40, entries: 1500 };
const DEEP: Size = { policies: 2, rules: 1000, cidrs: 40, entries: 100 };

export interface GeneratedWorld {
  readonly world: World;
  /** Answers hold only while less than a second has passed since the first packet. */
  readonly isTimed: boolean;
}

export function generateWorld(random: Random): GeneratedWorld {
  const size = random.weighted([50, SMALL], [35, MEDIUM], [13, LARGE], [2, DEEP]);
  const families = random.weighted<readonly Family[]>([3, [4, 6]], [1, [4]], [1, [6]]);
  const sets = generateSets(random, families, size);
  const palette: Palette = {
    cidrs: generateCidrs(random, families, random.between(1, size.cidrs)),
    setNames: [...sets.keys()],
    protocols: generateProtocols(random, random.between(1, size.cidrs)),
    interfaces: INTERFACES,
    drainingLimits: random.chance(0.3),
  };
  const nodes = random.list(1, 4, (index) => generateNode(random, palette, `node-${index}`));
  const self = random.pick(nodes);
  const policies = random.list(1, size.policies, (index) =>
    generatePolicy(random, palette, size, index),
  );
  const world: World = {
    node: self,
    nodes: random.chance(0.8) ? nodes : nodes.filter((node) => node !== self),
    interfaces: INTERFACES,
    uplinks: [...new Set(random.list(1, 2, () => random.pick(INTERFACES)))],
    policies,
    sets,
    failSafe: generateFailSafe(random, palette),
    unparsable: random.weighted([4, "Drop"], [1, "Pass"]),
    socketMaps: [],
    nowMs: NOW_MS,
  };
  return { world, isTimed: palette.drainingLimits };
}

function generatePolicy(
  random: Random,
  palette: Palette,
  size: Size,
  index: number,
): XdpPolicyRecord {
  // Without this, many worlds would judge nothing.
  const isForAll = index === 0 && random.chance(0.9);
  return {
    kind: "XdpPolicy",
    // Unique by its number, ordered by what comes before it.
    name: `${random.pick(["a", "a-", "a.", "a0", "b", "edge", "z"])}${index}x`,
    origin: ORIGIN,
    generation: 1,
    priority: random.weighted(
      [4, random.between(0, 3)],
      [1, 0],
      [1, 1000],
      [4, random.between(0, 1000)],
    ),
    nodeSelector: isForAll || random.chance(0.8) ? {} : generateSelector(random),
    interfaces: isForAll || random.chance(0.5) ? [] : random.list(1, 2, () => random.pick(GLOBS)),
    mode: random.chance(0.7) ? "Enforce" : "Audit",
    defaultAction: random.weighted([5, "Pass"], [3, "Drop"], [1, "Accept"]),
    rules: random.list(0, size.rules, (index) => generateRule(random, palette, `rule-${index}`)),
  };
}

function generateNode(random: Random, { cidrs }: Palette, name: string): NodeRecord {
  const labels = Object.entries(LABELS).flatMap(([key, values]) =>
    random.chance(0.6) ? [[key, random.pick(values)] as const] : [],
  );
  const addresses = random.list(0, 3, () => {
    const address = random.chance(0.5)
      ? addressInside(random, random.pick(cidrs))
      : anyAddress(random, random.pick([4, 6]));
    return makeCidr(address.family, address.value, address.family === 4 ? 32 : 128);
  });
  return {
    kind: "Node",
    name,
    origin: ORIGIN,
    labels: Object.fromEntries(labels),
    addresses,
    internalAddresses: [],
    createdAtMs: 0,
    podCidrs: [],
    isLeaving: false,
  };
}

function generateSets(
  random: Random,
  families: readonly Family[],
  size: Size,
): ReadonlyMap<string, CidrList> {
  const names = ["bad", "good", "partners"].slice(0, random.between(0, 3));
  return new Map(
    names.map((name) => {
      const count = random.chance(0.05) ? 0 : random.between(1, size.entries);
      const expiry = () => random.pick([LONG_AGO_MS, FAR_AHEAD_MS]) / 1000;
      const withExpiry = random.chance(0.4);
      const entries = generateCidrs(random, families, count).map((cidr): SetEntry => {
        // A set has no /0.
        const block = cidr.length === 0 ? blockInside(random, cidr) : cidr;
        return { cidr: block, expiresAt: withExpiry && random.chance(0.3) ? expiry() : 0 };
      });
      return [name, cidrListOf(entries)];
    }),
  );
}

function generateFailSafe(random: Random, palette: Palette): readonly RuleRecord[] {
  const accept = { kind: "Accept" } as const;
  return random.weighted<() => readonly RuleRecord[]>(
    [5, () => []],
    [2, () => [usualFailSafe]],
    [
      3,
      () =>
        random.list(1, 3, (index) => generateRuleWith(random, palette, `safe-${index}`, accept)),
    ],
  )();
}

const usualFailSafe: RuleRecord = {
  name: "management",
  action: { kind: "Accept" },
  from: [],
  to: [],
  protocols: [
    { kind: "tcp", destinationPort: { start: 22, end: 22 } },
    { kind: "tcp", destinationPort: { start: 2379, end: 2380 } },
    {
      kind: "udp",
      sourcePort: { start: 67, end: 67 },
      destinationPort: { start: 68, end: 68 },
    },
    ...[133, 134, 135, 136, 137].map((type) => ({ kind: "icmpv6", type }) as const),
  ],
  traits: [],
  logOneIn: 0,
};
