import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { AddressTable, type SetContents } from "../../operator/apply/address-table.js";
import type { Bank } from "../../operator/apply/bank.js";
import { inlineSetContent } from "../../operator/compile/set-content.js";
import { cidrContains } from "../../operator/model/cidr.js";
import type { Cidr } from "../../operator/model/records.js";
import { type AddressMemory, readClassV4, readClassV6 } from "./address-reader.js";

interface SetText {
  readonly cidrs: readonly Cidr[];
  readonly except: readonly Cidr[];
}

const LINES = 65536;
const pause = () => Promise.resolve();

function memory(): AddressMemory & { readonly datapath: Bank } {
  const arrays = {
    addressLines: new Uint32Array(LINES * 16),
    v4Top: new Uint32Array(2 * 65536),
    v4Touched: new Uint32Array(2 ** 19),
    v6Touched: new Uint32Array(2 ** 19),
  };
  const mapped = (u32: Uint32Array) => ({ u32, length: u32.length / 16 });
  const datapath = Object.fromEntries(
    Object.entries(arrays).map(([name, words]) => [name, mapped(words)]),
  ) as unknown as Bank;
  return { ...arrays, datapath };
}

/** Few bits that differ, so that prefixes nest and collide. */
const cidrV4 = fc
  .record({
    bits: fc.nat(255),
    region: fc.nat(3),
    host: fc.nat(3),
    length: fc.integer({ min: 1, max: 32 }),
  })
  .map(({ bits, region, host, length }): Cidr => {
    const raw = ((10 << 24) | (region << 16) | (bits << 8) | (host * 85)) >>> 0;
    return {
      family: 4,
      address: length === 32 ? raw : (raw >>> (32 - length)) * 2 ** (32 - length),
      length,
    };
  });
const cidrV6 = fc
  .record({
    site: fc.nat(3),
    subnet: fc.nat(3),
    host: fc.nat(7),
    length: fc.integer({ min: 1, max: 128 }),
  })
  .map(({ site, subnet, host, length }): Cidr => {
    const value =
      (0x20010db8n << 96n) | (BigInt(site) << 80n) | (BigInt(subnet) << 64n) | BigInt(host * 21);
    const kept = (value >> BigInt(128 - length)) << BigInt(128 - length);
    return { family: 6, high: kept >> 64n, low: kept & (2n ** 64n - 1n), length };
  });
const cidr = fc.oneof(cidrV4, cidrV6);
const setText = fc
  .record({ cidrs: fc.array(cidr, { maxLength: 8 }), others: fc.array(cidr, { maxLength: 3 }) })
  .map(({ cidrs, others }): SetText => {
    const [outer] = cidrs;
    /* As the compiler makes them: exceptions lie in the one block of their set. */
    const except = others.filter(
      (inner) => outer !== undefined && inner.length > outer.length && cidrContains(outer, inner),
    );
    return except.length > 0 ? { cidrs: [outer!], except } : { cidrs, except: [] };
  });
const world = fc.dictionary(fc.constantFrom("a", "b", "c", "d"), setText);

function contentsOf(sets: Readonly<Record<string, SetText>>): SetContents {
  return new Map(Object.entries(sets).map(([key, set]) => [key, inlineSetContent(set)]));
}

function edges(sets: Readonly<Record<string, SetText>>): readonly Cidr[] {
  const addresses: Cidr[] = [];
  for (const { cidrs, except } of Object.values(sets)) {
    for (const block of [...cidrs, ...except]) {
      if (block.family === 4) {
        const end = block.address + 2 ** (32 - block.length);
        for (const at of [block.address - 1, block.address, end - 1, end]) {
          if (at >= 0 && at < 2 ** 32) addresses.push({ family: 4, address: at, length: 32 });
        }
      } else {
        const start = (block.high << 64n) | block.low;
        const end = start + (1n << BigInt(128 - block.length));
        for (const at of [start - 1n, start, end - 1n, end]) {
          if (at < 0n || at >= 1n << 128n) continue;
          addresses.push({ family: 6, high: at >> 64n, low: at & (2n ** 64n - 1n), length: 128 });
        }
      }
    }
  }
  return addresses;
}

function membersByHand(sets: Readonly<Record<string, SetText>>, address: Cidr): readonly string[] {
  return Object.entries(sets)
    .filter(
      ([, { cidrs, except }]) =>
        cidrs.some((block) => cidrContains(block, address)) &&
        !except.some((block) => cidrContains(block, address)),
    )
    .map(([key]) => key)
    .sort();
}

function check(
  table: AddressTable,
  words: AddressMemory,
  sets: Readonly<Record<string, SetText>>,
  addresses: readonly Cidr[],
): void {
  const nameOf = new Map(Object.keys(sets).map((key) => [table.idOf(key), key]));
  for (const address of addresses) {
    const classId =
      address.family === 4
        ? readClassV4(words, table.half, address.address)
        : readClassV6(words, table.pointers(), address.high, address.low);
    const members = table.classes.members(classId).map((id) => nameOf.get(id) ?? `? ${id}`);
    assert.deepEqual(members.sort(), membersByHand(sets, address), JSON.stringify(address, text));
  }
}

function text(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString(16) : value;
}

describe("address table", () => {
  it("gives every address the sets it is in, after each of many edits", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(world, { minLength: 1, maxLength: 6 }), async (worlds) => {
        const words = memory();
        let table: AddressTable | undefined;
        const probes = worlds.flatMap(edges);
        for (const sets of worlds) {
          const contents = contentsOf(sets);
          if (table === undefined) {
            table = new AddressTable(words.datapath, 0, contents);
            await table.build(pause);
          } else {
            for (const step of ["change", "removeOthers"] as const) {
              if (table[step](contents, () => undefined)) continue;
              const { old } = await table.rebuildV6(pause);
              table.retireV6(old);
            }
            table.allocator.reclaim(table.allocator.takeRetired());
          }
          check(table, words, sets, probes);
        }
      }),
      { numRuns: 60 },
    );
  });
});
