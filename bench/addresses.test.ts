import assert from "node:assert/strict";
import { test } from "node:test";
import {
  randomV4,
  randomV6,
  seededRandom,
  type V4Kinship,
  v4Sources,
  v6Sources,
} from "./addresses.js";

const entries = randomV4(500, seededRandom(1));

/** Sources of one kind in host order. */
function sourcesOf(kinship: V4Kinship): readonly number[] {
  const words = v4Sources(entries, kinship, 2000, seededRandom(2));
  const view = new DataView(words.buffer);
  return Array.from(words, (_, at) => view.getUint32(at * 4, false));
}

test("a seed always gives the same addresses, distinct and unicast", () => {
  assert.deepEqual(randomV4(500, seededRandom(1)), entries);
  assert.notDeepEqual(randomV4(500, seededRandom(2)), entries);
  assert.equal(new Set(entries).size, entries.length);
  assert.ok(entries.every((address) => ![0, 127].includes(address >>> 24) && address < 0xe0000000));
});

test("sources are what their kinship to the entries says", () => {
  const isEntry = (address: number) => entries.includes(address);
  const prefixes = new Set(entries.map((entry) => entry >>> 8));
  const isNear = (address: number) => prefixes.has(address >>> 8);
  assert.ok(sourcesOf("entry").every(isEntry));
  assert.ok(sourcesOf("neighbour").every((address) => isNear(address) && !isEntry(address)));
  assert.ok(!sourcesOf("stranger").some(isEntry));
  assert.ok(!sourcesOf("legitimate").some(isNear));
  assert.ok(new Set(sourcesOf("entry")).size > entries.length / 2, "drawn from all entries");
});

test("IPv6 sources are entries, as they stand in a packet", () => {
  const addresses = randomV6(3, seededRandom(3));
  const sources = v6Sources(addresses, 100, seededRandom(4));
  const known = Array.from(addresses.high, (high, at) => `${high}/${addresses.low[at]}`);
  assert.ok(
    addresses.high.every((high) => high >> 61n === 1n),
    "in 2000::/3",
  );
  for (let at = 0; at < sources.length; at += 16) {
    const source = `${sources.readBigUInt64BE(at)}/${sources.readBigUInt64BE(at + 8)}`;
    assert.ok(known.includes(source));
  }
});
