/** From a case that fails to a small one that still fails. */

import { isDeepStrictEqual } from "node:util";
import type { CidrList, Peer, RuleRecord, XdpPolicyRecord } from "../../operator/model/records.js";
import { cidrListOf, entriesOf } from "../oracle/address.js";
import type { World } from "../oracle/world.js";
import type { FuzzCase } from "./generate.js";
import { MIN_FRAME_BYTES } from "./mutate.js";

/** One part of a case: how to read it and how to put another in its place. */
interface Part<T> {
  get(fuzzCase: FuzzCase): T;
  put(fuzzCase: FuzzCase, value: T): FuzzCase;
}

/** The case so far, and one try at a simpler one. */
interface Shrinking {
  current: FuzzCase;
  /** Makes the candidate current if it still fails and the budget allows to ask. */
  attempt(candidate: FuzzCase): Promise<boolean>;
}

/**
 * Leaves out what is not needed for `fails` to hold: packets, policies, rules, peers, protocols,
 * set entries, bytes. Asks `fails` at most `budget` times and ends early when nothing gets smaller.
 */
export async function shrink(
  fuzzCase: FuzzCase,
  fails: (candidate: FuzzCase) => Promise<boolean>,
  budget: number,
): Promise<FuzzCase> {
  let asked = 0;
  let succeeded = 0;
  const shrinking: Shrinking = {
    current: fuzzCase,
    async attempt(candidate) {
      if (asked >= budget) {
        return false;
      }
      asked += 1;
      if (!(await fails(candidate))) {
        return false;
      }
      succeeded += 1;
      this.current = candidate;
      return true;
    },
  };
  let before: number;
  do {
    before = succeeded;
    await shrinkLists(shrinking);
    await shrinkPolicies(shrinking);
    await shrinkRules(shrinking);
    await shrinkSets(shrinking);
    await shrinkFrames(shrinking);
  } while (succeeded > before);
  return shrinking.current;
}

async function shrinkLists(shrinking: Shrinking): Promise<void> {
  await minimise(shrinking, {
    get: (fuzzCase) => fuzzCase.packets,
    put: (fuzzCase, packets) => ({ ...fuzzCase, packets }),
  });
  await minimise(shrinking, worldPart("policies"));
  await minimise(shrinking, worldPart("failSafe"));
  await minimise(shrinking, worldPart("nodes"));
}

async function shrinkPolicies(shrinking: Shrinking): Promise<void> {
  for (const index of shrinking.current.world.policies.keys()) {
    const policy = at(worldPart("policies"), index);
    await minimise(shrinking, field(policy, "rules"));
    const simpler: readonly Partial<XdpPolicyRecord>[] = [
      { nodeSelector: {} },
      { interfaces: [] },
      { interfaces: ["*"] },
      { mode: "Enforce" },
      { defaultAction: "Pass" },
      { priority: 100 },
    ];
    for (const change of simpler) {
      await simplify(shrinking, policy, (old) => ({ ...old, ...change }));
    }
  }
}

async function shrinkRules(shrinking: Shrinking): Promise<void> {
  const { policies, failSafe } = shrinking.current.world;
  for (const [index, { rules }] of policies.entries()) {
    for (const ruleIndex of rules.keys()) {
      await shrinkRule(shrinking, at(field(at(worldPart("policies"), index), "rules"), ruleIndex));
    }
  }
  for (const index of failSafe.keys()) {
    await shrinkRule(shrinking, at(worldPart("failSafe"), index));
  }
}

async function shrinkRule(shrinking: Shrinking, rule: Part<RuleRecord>): Promise<void> {
  await minimise(shrinking, field(rule, "from"));
  await minimise(shrinking, field(rule, "to"));
  await minimise(shrinking, field(rule, "protocols"));
  await minimise(shrinking, field(rule, "traits"));
  await simplify(shrinking, rule, (old) => {
    const { expiresAtMs, ...lasting } = old;
    return expiresAtMs === undefined ? old : lasting;
  });
  await simplify(shrinking, rule, (old) => ({ ...old, logOneIn: 0 }));
  for (const side of ["from", "to"] as const) {
    for (const index of rule.get(shrinking.current)[side].keys()) {
      await minimise(shrinking, exceptsOf(at(field(rule, side), index)));
    }
  }
}

async function shrinkSets(shrinking: Shrinking): Promise<void> {
  for (const name of shrinking.current.world.sets.keys()) {
    await minimise(shrinking, {
      get: ({ world }) => entriesOf(world.sets.get(name) ?? cidrListOf([])),
      put: (fuzzCase, entries) =>
        withSets(fuzzCase, [...fuzzCase.world.sets, [name, cidrListOf(entries)]]),
    });
  }
  const used = namesOfUsedSets(shrinking.current.world);
  const sets = [...shrinking.current.world.sets].filter(([name]) => used.has(name));
  if (sets.length < shrinking.current.world.sets.size) {
    await shrinking.attempt(withSets(shrinking.current, sets));
  }
}

/** Cuts the end off, then blanks what does not matter. */
async function shrinkFrames(shrinking: Shrinking): Promise<void> {
  for (const index of shrinking.current.packets.keys()) {
    const frame: Part<Uint8Array> = {
      get: ({ packets }) => packets[index]?.frame ?? new Uint8Array(MIN_FRAME_BYTES),
      put: (fuzzCase, bytes) => ({
        ...fuzzCase,
        packets: fuzzCase.packets.map((packet, i) =>
          i === index ? { ...packet, frame: bytes } : packet,
        ),
      }),
    };
    for (let size = 1024; size >= 1; size = Math.floor(size / 2)) {
      const bytes = frame.get(shrinking.current);
      if (bytes.length - size >= MIN_FRAME_BYTES) {
        await shrinking.attempt(frame.put(shrinking.current, bytes.subarray(0, -size)));
      }
    }
    for (const size of [16, 4, 1]) {
      for (let start = 0; start < frame.get(shrinking.current).length; start += size) {
        const bytes = frame.get(shrinking.current);
        if (bytes.subarray(start, start + size).some((byte) => byte !== 0)) {
          const blanked = Uint8Array.from(bytes).fill(0, start, start + size);
          await shrinking.attempt(frame.put(shrinking.current, blanked));
        }
      }
    }
  }
}

/** Leaves out runs of entries: all, halves, quarters, …, single ones. */
async function minimise<T>(shrinking: Shrinking, part: Part<readonly T[]>): Promise<void> {
  for (let size = part.get(shrinking.current).length; size >= 1; size = Math.floor(size / 2)) {
    let start = 0;
    while (start < part.get(shrinking.current).length) {
      const rest = part.get(shrinking.current).toSpliced(start, size);
      if (!(await shrinking.attempt(part.put(shrinking.current, rest)))) {
        start += size;
      }
    }
  }
}

async function simplify<T>(
  shrinking: Shrinking,
  part: Part<T>,
  change: (value: T) => T,
): Promise<void> {
  const before = part.get(shrinking.current);
  const after = change(before);
  if (!isDeepStrictEqual(after, before)) {
    await shrinking.attempt(part.put(shrinking.current, after));
  }
}

function worldPart<K extends keyof World>(key: K): Part<World[K]> {
  return {
    get: ({ world }) => world[key],
    put: (fuzzCase, value) => ({ ...fuzzCase, world: { ...fuzzCase.world, [key]: value } }),
  };
}

function field<T, K extends keyof T>(part: Part<T>, key: K): Part<T[K]> {
  return {
    get: (fuzzCase) => part.get(fuzzCase)[key],
    put: (fuzzCase, value) => part.put(fuzzCase, { ...part.get(fuzzCase), [key]: value }),
  };
}

/** The list must have the entry whenever the part is read. */
function at<T>(part: Part<readonly T[]>, index: number): Part<T> {
  return {
    get: (fuzzCase) => part.get(fuzzCase)[index] as T,
    put: (fuzzCase, value) => part.put(fuzzCase, part.get(fuzzCase).with(index, value)),
  };
}

function exceptsOf(peer: Part<Peer>): Part<Extract<Peer, { readonly kind: "cidr" }>["except"]> {
  return {
    get: (fuzzCase) => {
      const value = peer.get(fuzzCase);
      return value.kind === "cidr" ? value.except : [];
    },
    put: (fuzzCase, except) => {
      const value = peer.get(fuzzCase);
      return value.kind === "cidr" ? peer.put(fuzzCase, { ...value, except }) : fuzzCase;
    },
  };
}

function withSets(fuzzCase: FuzzCase, sets: Iterable<readonly [string, CidrList]>): FuzzCase {
  return { ...fuzzCase, world: { ...fuzzCase.world, sets: new Map(sets) } };
}

function namesOfUsedSets(world: World): ReadonlySet<string> {
  const rules = [...world.failSafe, ...world.policies.flatMap((policy) => policy.rules)];
  const peers = rules.flatMap((rule) => [...rule.from, ...rule.to]);
  return new Set(peers.flatMap((peer) => (peer.kind === "cidrSet" ? [peer.setName] : [])));
}
