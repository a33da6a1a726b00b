/** Connections in random clusters whose policies and labels change: each goes on exactly while the oracle allows what opened it. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { createRandom } from "../fuzz/random.js";
import { generateCase, generateLater } from "../policy-oracle/generate.js";
import { expectedOn } from "../policy-oracle/subject.js";
import { openPolicySubject } from "./policy-subject.js";

const CLUSTERS = 100;
const PACKETS_PER_CLUSTER = 100;
const FEWEST = 100;

const subject = await openPolicySubject();
after(() => subject.close());

for (const seed of [1, Date.now() % 2 ** 32]) {
  test(`connections end when a change of policies ends them, and no others: seed ${seed}`, async () => {
    const seen = { answered: 0, "goes on": 0, cut: 0 };
    for (let index = 0; index < CLUSTERS; index++) {
      const random = createRandom(seed, index, 3);
      const before = generateCase(seed, index, PACKETS_PER_CLUSTER);
      const { cluster, node, packets } = before;
      const firsts = packets.filter(({ destinationPort }) => destinationPort !== undefined);
      await subject.load(cluster, node);
      const opened = subject.open(firsts);
      const open = firsts.flatMap((packet, place) => (opened[place] ? [{ packet, place }] : []));
      for (const { packet, place } of open) {
        assert.ok(subject.goesOn(place, "answer"), `case ${index}: ${JSON.stringify(packet)}`);
        seen.answered += 1;
      }
      const later = generateLater(seed, index, before);
      await subject.load(later, node);
      for (const { packet, place } of open) {
        const { allowed, directions } = expectedOn(later, node, packet);
        const part = random.pick(["answer", "later"] as const);
        assert.equal(
          subject.goesOn(place, part),
          allowed,
          `case ${index}, ${part}: ${JSON.stringify({ packet, directions })}`,
        );
        seen[allowed ? "goes on" : "cut"] += 1;
      }
    }
    const tooFew = Object.entries(seen).filter(([, count]) => count < FEWEST);
    assert.deepEqual(tooFew, []);
  });
}
