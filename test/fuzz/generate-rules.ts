/** Rules of every shape that the API allows. */

import type {
  Cidr,
  LabelExpression,
  LabelSelector,
  Peer,
  PortRange,
  ProtocolMatch,
  RateLimit,
  RedirectTarget,
  RuleAction,
  RuleRecord,
  TcpFlag,
  Trait,
} from "../../operator/model/records.js";
import { blockInside } from "./generate-addresses.js";
import type { Random } from "./random.js";

/** What the rules of one world choose from. */
export interface Palette {
  readonly cidrs: readonly Cidr[];
  readonly setNames: readonly string[];
  readonly protocols: readonly ProtocolMatch[];
  readonly interfaces: readonly string[];
  /** Whether buckets may run empty, which ties the answers to the time the packets take. */
  readonly drainingLimits: boolean;
}

/** Rules and entries end before 2020 or in 2100: the same by every clock that a subject may read. */
export const LONG_AGO_MS = Date.UTC(2019, 0, 1);
export const FAR_AHEAD_MS = Date.UTC(2100, 0, 1);

export const LABELS: Readonly<Record<string, readonly string[]>> = {
  role: ["edge", "worker"],
  zone: ["a", "b", "c"],
  "example.com/spare": [""],
};

const TCP_FLAGS: readonly TcpFlag[] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
const TRAITS: readonly Trait[] = [
  "Fragment",
  "IPOptions",
  "SameAddress",
  "MartianSource",
  "ZeroPort",
  "ImpossibleTCPFlags",
  "Bogon",
];
const NOTABLE_PORTS = [0, 1, 22, 53, 67, 80, 443, 1023, 1024, 32_768, 65_534, 65_535];
const NOTABLE_PROTOCOLS = [0, 1, 2, 4, 6, 17, 41, 43, 44, 47, 50, 51, 58, 59, 60, 132, 254, 255];

export function generateRule(random: Random, palette: Palette, name: string): RuleRecord {
  return generateRuleWith(random, palette, name, generateAction(random, palette));
}

export function generateRuleWith(
  random: Random,
  palette: Palette,
  name: string,
  action: RuleAction,
): RuleRecord {
  const peers = (chanceOfAny: number) =>
    random.chance(chanceOfAny) ? [] : random.list(1, 3, () => generatePeer(random, palette));
  return {
    name,
    action,
    from: peers(0.4),
    to: peers(0.7),
    protocols: random.chance(0.4) ? [] : random.list(1, 3, () => random.pick(palette.protocols)),
    traits: random.chance(0.8) ? [] : subset(random, TRAITS, 3),
    logOneIn: random.weighted([8, 0], [1, 1], [1, 100]),
    ...(random.chance(0.08) && {
      expiresAtMs: random.chance(0.5) ? LONG_AGO_MS : FAR_AHEAD_MS,
    }),
  };
}

function generatePeer(random: Random, { cidrs, setNames }: Palette): Peer {
  if (setNames.length > 0 && random.chance(0.25)) {
    return { kind: "cidrSet", setName: random.pick(setNames) };
  }
  if (random.chance(0.12)) {
    return { kind: "nodes", selector: generateSelector(random) };
  }
  const cidr = random.pick(cidrs);
  return { kind: "cidr", cidr, except: generateExcepts(random, cidr) };
}

/** Blocks inside `cidr` and smaller than it, sometimes inside each other. */
function generateExcepts(random: Random, cidr: Cidr): readonly Cidr[] {
  const blocks: Cidr[] = [];
  for (
    let count = random.weighted([5, 0], [3, 1], [2, random.between(2, 5)]);
    count > 0;
    count -= 1
  ) {
    const around = blocks.length > 0 && random.chance(0.3) ? random.pick(blocks) : cidr;
    const block = blockInside(random, around);
    if (block.length > cidr.length) {
      blocks.push(block);
    }
  }
  return blocks;
}

export function generateSelector(random: Random): LabelSelector {
  const keys = [...Object.keys(LABELS), "absent"];
  const values = (key: string) => LABELS[key] ?? ["x"];
  const expression = (): LabelExpression => {
    const key = random.pick(keys);
    const operator = random.pick(["In", "NotIn", "Exists", "DoesNotExist"] as const);
    return operator === "In" || operator === "NotIn"
      ? { key, operator, values: random.list(1, 2, () => random.pick(values(key))) }
      : { key, operator };
  };
  return random.weighted<() => LabelSelector>(
    [1, () => ({})],
    [
      2,
      () => {
        const key = random.pick(keys);
        return { matchLabels: { [key]: random.pick(values(key)) } };
      },
    ],
    [2, () => ({ matchExpressions: random.list(1, 2, expression) })],
  )();
}

/** Entries that rules share, so that equal and overlapping ones meet. */
export function generateProtocols(random: Random, size: number): readonly ProtocolMatch[] {
  return Array.from({ length: size }, () => generateProtocol(random));
}

function generateProtocol(random: Random): ProtocolMatch {
  const ports = () => ({
    ...(random.chance(0.65) && { destinationPort: generatePortRange(random) }),
    ...(random.chance(0.25) && { sourcePort: generatePortRange(random) }),
  });
  const message = () => ({
    ...(random.chance(0.7) && { type: generateIcmpType(random) }),
    ...(random.chance(0.3) && { code: random.pick([0, 1, 4, 255]) }),
  });
  return random.weighted<() => ProtocolMatch>(
    [
      5,
      () => ({
        kind: "tcp",
        ...ports(),
        ...(random.chance(0.35) && { flags: generateFlags(random) }),
      }),
    ],
    [4, () => ({ kind: "udp", ...ports() })],
    [1, () => ({ kind: "sctp", ...ports() })],
    [2, () => ({ kind: "icmp", ...message() })],
    [2, () => ({ kind: "icmpv6", ...message() })],
    [
      3,
      () => ({
        kind: "protocol",
        number: random.chance(0.8) ? random.pick(NOTABLE_PROTOCOLS) : random.between(0, 255),
      }),
    ],
  )();
}

export function generatePort(random: Random): number {
  return random.chance(0.6) ? random.pick(NOTABLE_PORTS) : random.between(0, 65_535);
}

function generatePortRange(random: Random): PortRange {
  if (random.chance(0.06)) {
    return { start: 0, end: 65_535 };
  }
  const one = generatePort(random);
  const other = random.weighted(
    [5, one],
    [2, generatePort(random)],
    [1, Math.min(65_535, one + 1)],
    [1, 65_535],
    [1, 0],
  );
  return { start: Math.min(one, other), end: Math.max(one, other) };
}

export function generateIcmpType(random: Random): number {
  return random.pick([0, 3, 8, 11, 128, 129, 133, 134, 135, 136, 137, 254, 255]);
}

function generateFlags(random: Random): { set: readonly TcpFlag[]; unset: readonly TcpFlag[] } {
  const set = random.chance(0.7) ? subset(random, TCP_FLAGS, 3) : [];
  const rest = TCP_FLAGS.filter((flag) => !set.includes(flag));
  return { set, unset: set.length === 0 || random.chance(0.6) ? subset(random, rest, 3) : [] };
}

function subset<T>(random: Random, list: readonly T[], most: number): readonly T[] {
  return [...new Set(random.list(1, most, () => random.pick(list)))];
}

function generateAction(random: Random, palette: Palette): RuleAction {
  return random.weighted<() => RuleAction>(
    [7, () => ({ kind: "Drop" })],
    [5, () => ({ kind: "Accept" })],
    [3, () => ({ kind: "Pass" })],
    [
      palette.drainingLimits ? 8 : 3,
      () => ({ kind: "Limit", rateLimit: generateLimit(random, palette) }),
    ],
    [2, () => ({ kind: "Redirect", target: generateTarget(random, palette) })],
  )();
}

/**
 * Ample: never above the rate. Starved: the burst is less than any IP frame has bytes, so always
 * above. Draining: a few packets fit, then, as long as no second has passed, none.
 */
function generateLimit(random: Random, { drainingLimits }: Palette): RateLimit {
  const [unit, rate, burst] = random.weighted<readonly [RateLimit["unit"], number, number]>(
    [3, ["packets", 1_000_000, 1_000_000]],
    [1, ["packets", 1_000_000_000, 1_000_000_000]],
    [2, ["bytes", 1_000_000_000, 1_000_000_000]],
    [1, ["bytes", 1, 1]],
    [1, ["bytes", 1_000_000, 33]],
    [drainingLimits ? 6 : 0, ["packets", 1, random.between(1, 20)]],
    [drainingLimits ? 6 : 0, ["bytes", 1, random.between(34, 3000)]],
  );
  return {
    unit,
    rate,
    burst,
    per: random.pick(["Node", "SourceAddress", "SourcePrefix"] as const),
    ipv4PrefixLength: random.pick([1, 8, 23, 24, 31, 32]),
    ipv6PrefixLength: random.pick([1, 32, 48, 63, 64, 65, 127, 128]),
  };
}

function generateTarget(random: Random, { interfaces }: Palette): RedirectTarget {
  return random.weighted<RedirectTarget>(
    [2, { kind: "cpus", cpus: [0] }],
    [2, { kind: "interface", name: random.pick(interfaces) }],
    [1, { kind: "interface", name: "absent0" }],
    [1, { kind: "socketMap", name: "sockets" }],
  );
}
