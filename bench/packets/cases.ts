import { tcp } from "../../test/support/transports.js";
import { eth, ipv4, ipv6, packet } from "../../test/support/packets.js";
import {
  randomV4,
  randomV6,
  seededRandom,
  type V4Kinship,
  v4Sources,
  v6Sources,
} from "../addresses.js";
import { type Harness, sourceCount, type Sources } from "./harness.js";
import {
  blockingWorld,
  limitWorld,
  type OpenSubject,
  portOfRule,
  ruleWorld,
  sluice,
  xdpFilter,
} from "./subjects.js";

/** One row: a subject, and what is sent to it. */
export interface Case {
  readonly name: string;
  readonly open: OpenSubject;
  readonly packet: Buffer;
  /** Undefined: the packet as it is, run without the harness. Made when first needed. */
  readonly sources: (() => Sources) | undefined;
  /** What becomes of the packets, or at least of nine in ten. */
  readonly expected: "pass" | "drop";
  /** The empty program called the same way. */
  readonly floor: Floor;
  /** The same packets to another product. */
  readonly peer?: { readonly product: string; readonly open: OpenSubject };
}

/** How a case is called, and so which empty program it is held against. */
export type Floor = "plain" | "harness v4" | "harness v6";

const SYN_V4 = synV4(443);
const SYN_V6 = packet(eth(), ipv6(), tcp({ destinationPort: 443 }));
/** The source of packets that are sent as they are. */
const HOT_SOURCE = 0xc000_0201;
const OTHER = 0xcb00_7101;
const NO_LIMIT = 1e9;
/** Names of set sizes. */
const SIZES = { "1": 1, "1k": 1000, "100k": 100_000, "1M": 1_000_000 } as const;
const V6_SIZES = { "1k": 1000, "50k": 50_000 } as const;

function synV4(destinationPort: number): Buffer {
  return packet(eth(), ipv4({ source: "192.0.2.1" }), tcp({ destinationPort }));
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** Sources of one kind, drawn anew for each list but always the same ones. */
function fromV4(entries: () => Uint32Array, kinship: V4Kinship): () => Sources {
  return once(() => ({
    family: 4,
    words: v4Sources(entries(), kinship, sourceCount.v4, seededRandom(11)),
  }));
}

export function emptyCases(harness: Harness): readonly Case[] {
  const pass: OpenSubject = () => Promise.resolve({ program: harness.emptyPass });
  const drop: OpenSubject = () => Promise.resolve({ program: harness.emptyDrop });
  const anyV4 = fromV4(() => new Uint32Array(), "stranger");
  const v4 = { packet: SYN_V4, sources: undefined, floor: "plain" } as const;
  const anyV6 = once(
    (): Sources => ({
      family: 6,
      bytes: v6Sources(randomV6(1, seededRandom(3)), sourceCount.v6, seededRandom(11)),
    }),
  );
  return [
    { ...v4, name: "empty program: XDP_PASS", open: pass, expected: "pass" },
    { ...v4, name: "empty program: XDP_DROP", open: drop, expected: "drop" },
    {
      name: "harness, IPv4 + empty program",
      open: pass,
      packet: SYN_V4,
      sources: anyV4,
      expected: "pass",
      floor: "harness v4",
    },
    {
      name: "harness, IPv6 + empty program",
      open: pass,
      packet: SYN_V6,
      sources: anyV6,
      expected: "pass",
      floor: "harness v6",
    },
  ];
}

/** Sources and sets are drawn from fixed seeds: every run measures the same. */
export function sluiceCases(): readonly Case[] {
  return [...hotCases(), ...ruleCases(), ...setCases(), ...v6Cases(), ...limitCases()];
}

function hotCases(): readonly Case[] {
  const hot = { packet: SYN_V4, sources: undefined, floor: "plain" } as const;
  const one = blockingWorld(Uint32Array.of(HOT_SOURCE));
  const filter = xdpFilter({ v4: Uint32Array.of(HOT_SOURCE) });
  const other = Uint32Array.of(OTHER);
  const empty = blockingWorld(new Uint32Array()).policies.map((p) => ({ ...p, rules: [] }));
  const product = "xdp-filter";
  return [
    { ...hot, name: "no policy", open: sluice({ policies: [] }), expected: "pass" },
    { ...hot, name: "policy without rules", open: sluice({ policies: empty }), expected: "pass" },
    {
      ...hot,
      name: "policy without rules, no fail-safe rules",
      open: sluice({ policies: empty, failSafe: [] }),
      expected: "pass",
    },
    {
      ...hot,
      name: "set of 1, one source, hit",
      open: sluice(one),
      expected: "drop",
      peer: { product, open: filter },
    },
    {
      ...hot,
      name: "set of 1, one source, hit, no fail-safe rules",
      open: sluice({ ...one, failSafe: [] }),
      expected: "drop",
      peer: { product, open: filter },
    },
    {
      ...hot,
      name: "set of 1, one source, miss",
      open: sluice(blockingWorld(other)),
      expected: "pass",
      peer: { product, open: xdpFilter({ v4: other }) },
    },
  ];
}

function ruleCases(): readonly Case[] {
  return [4, 4000].flatMap((count): readonly Case[] => {
    const prefixes = once(() =>
      randomV4(count, seededRandom(5)).map((address) => (address & 0xffffff00) >>> 0),
    );
    const last = once(() => prefixes().slice(-1));
    const open = once(() => sluice(ruleWorld(prefixes())));
    const way = { open: () => open()(), floor: "harness v4" } as const;
    const name = `${count.toLocaleString("en-US")} rules`;
    return [
      {
        ...way,
        name: `${name}, sources of none`,
        packet: SYN_V4,
        sources: fromV4(prefixes, "legitimate"),
        expected: "pass",
      },
      {
        ...way,
        name: `${name}, the last rule`,
        packet: synV4(portOfRule(count - 1)),
        sources: fromV4(last, "neighbour"),
        expected: "drop",
      },
      {
        ...way,
        name: `${name}, sources of all, port of none`,
        packet: SYN_V4,
        sources: fromV4(prefixes, "neighbour"),
        expected: "pass",
      },
    ];
  });
}

function setCases(): readonly Case[] {
  const empty = sluice(blockingWorld(new Uint32Array()));
  const emptyFilter = xdpFilter({});
  return Object.entries(SIZES).flatMap(([size, count]): readonly Case[] => {
    const entries = once(() => randomV4(count, seededRandom(count)));
    const open = once(() => sluice(blockingWorld(entries())));
    const filter = once(() => xdpFilter({ v4: entries() }));
    const way = {
      open: () => open()(),
      packet: SYN_V4,
      floor: "harness v4",
      peer: { product: "xdp-filter", open: () => filter()() },
    } as const;
    const legitimate = fromV4(entries, "legitimate");
    const rows: readonly Case[] = [
      {
        ...way,
        name: `set of ${size}, random entries`,
        sources: fromV4(entries, "entry"),
        expected: "drop",
      },
      {
        ...way,
        name: `set of ${size}, random others`,
        sources: fromV4(entries, "stranger"),
        expected: "pass",
      },
      { ...way, name: `set of ${size}, legitimate`, sources: legitimate, expected: "pass" },
      {
        ...way,
        name: `set of ${size}, neighbours of entries`,
        sources: fromV4(entries, "neighbour"),
        expected: "pass",
      },
    ];
    if (count !== SIZES["1M"]) return rows;
    const peer = { product: "xdp-filter", open: emptyFilter };
    return [
      {
        ...way,
        name: "empty set, the same legitimate",
        open: empty,
        peer,
        sources: legitimate,
        expected: "pass",
      },
      ...rows,
    ];
  });
}

function v6Cases(): readonly Case[] {
  return Object.entries(V6_SIZES).flatMap(([size, count]): readonly Case[] => {
    const entries = once(() => randomV6(count, seededRandom(count)));
    const others = once(() => randomV6(count, seededRandom(count + 1)));
    const none = new Uint32Array();
    const open = once(() => sluice(blockingWorld(none, entries())));
    const filter = once(() => xdpFilter({ v6: entries() }));
    const from = (addresses: typeof entries) =>
      once(
        (): Sources => ({
          family: 6,
          bytes: v6Sources(addresses(), sourceCount.v6, seededRandom(11)),
        }),
      );
    const way = {
      open: () => open()(),
      packet: SYN_V6,
      floor: "harness v6",
      peer: { product: "xdp-filter", open: () => filter()() },
    } as const;
    return [
      {
        ...way,
        name: `IPv6 set of ${size}, random entries`,
        sources: from(entries),
        expected: "drop",
      },
      {
        ...way,
        name: `IPv6 set of ${size}, random others`,
        sources: from(others),
        expected: "pass",
      },
    ];
  });
}

function limitCases(): readonly Case[] {
  const within = sluice(limitWorld(NO_LIMIT));
  const above = sluice(limitWorld(1));
  const many = fromV4(
    once(() => randomV4(65_536, seededRandom(13))),
    "entry",
  );
  const oneSource = fromV4(() => Uint32Array.of(HOT_SOURCE), "entry");
  const way = { packet: SYN_V4, floor: "harness v4" } as const;
  return [
    {
      ...way,
      name: "Limit per source, 1 source, below",
      open: within,
      sources: oneSource,
      expected: "pass",
    },
    {
      ...way,
      name: "Limit per source, 1 source, above",
      open: above,
      sources: oneSource,
      expected: "drop",
    },
    {
      ...way,
      name: "Limit per source, 64k sources, below",
      open: within,
      sources: many,
      expected: "pass",
    },
    {
      ...way,
      name: "Limit per source, 64k sources, above",
      open: above,
      sources: many,
      expected: "drop",
    },
  ];
}
