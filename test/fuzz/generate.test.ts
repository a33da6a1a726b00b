/** What the generators promise: same seed, same case; valid objects; frames that can be sent. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Cidr } from "../../operator/model/records.js";
import {
  cidrContains,
  cidrValue,
  entriesOf,
  formatCidr,
  makeCidr,
  parseCidr,
} from "../oracle/address.js";
import { parseFrame } from "../oracle/parse.js";
import { buildFrame, icmp, sctp, tcp, udp } from "./frame.js";
import { firstAddress } from "./generate-addresses.js";
import { generateCase } from "./generate.js";
import { worldToYaml } from "./manifest.js";
import { allCuts, MAX_FRAME_BYTES, MIN_FRAME_BYTES } from "./mutate.js";
import { createRandom } from "./random.js";

const CASES = Array.from({ length: 120 }, (_, index) => generateCase(99, index, 60));

function assertCanonical(cidr: Cidr): void {
  const bits = cidr.family === 4 ? 32 : 128;
  assert.ok(cidr.length >= 0 && cidr.length <= bits);
  assert.deepEqual(makeCidr(cidr.family, cidrValue(cidr), cidr.length), cidr);
  assert.deepEqual(parseCidr(formatCidr(cidr)), cidr);
}

describe("random numbers", () => {
  it("are those of their seed, part by part", () => {
    const draw = (...seed: readonly number[]) => createRandom(...seed).bits(128);
    assert.equal(draw(1, 2), draw(1, 2));
    const all = [draw(1, 2), draw(2, 1), draw(1), draw(1, 0), draw(2 ** 32 + 1, 2), draw(0)];
    assert.equal(new Set(all).size, all.length);
  });

  it("reach both ends of their range, and all bits", () => {
    const random = createRandom(5);
    const seen = new Set(Array.from({ length: 500 }, () => random.between(3, 7)));
    assert.deepEqual(seen, new Set([3, 4, 5, 6, 7]));
    const bits = Array.from({ length: 200 }, () => random.bits(70));
    assert.equal(
      bits.reduce((sum, value) => sum | value, 0n),
      2n ** 70n - 1n,
    );
    assert.equal(
      bits.reduce((sum, value) => sum & value, -1n),
      0n,
    );
  });
});

describe("a case", () => {
  it("is the same for the same seed and another for another", () => {
    assert.deepEqual(generateCase(99, 3, 60), CASES[3]);
    assert.notDeepEqual(generateCase(98, 3, 60).world, CASES[3]?.world);
  });

  it("begins with the same packets when it has more of them", () => {
    assert.deepEqual(generateCase(99, 3, 200).packets.slice(0, 60), CASES[3]?.packets);
  });

  it("has frames that can be sent, on interfaces that exist", () => {
    for (const { world, packets } of CASES) {
      assert.equal(packets.length, 60);
      for (const { interfaceName, frame } of packets) {
        assert.ok(world.interfaces.includes(interfaceName));
        assert.ok(frame.length >= MIN_FRAME_BYTES && frame.length <= MAX_FRAME_BYTES);
      }
    }
  });
});

describe("the objects of a world are valid", () => {
  const worlds = CASES.map((fuzzCase) => fuzzCase.world);
  const policies = worlds.flatMap((world) => world.policies);
  const rules = [...policies, ...worlds.map((world) => ({ rules: world.failSafe }))].flatMap(
    (owner) => owner.rules,
  );

  it("names are unique, priorities in range, rules at most 1,000", () => {
    for (const world of worlds) {
      const names = world.policies.map((policy) => policy.name);
      assert.equal(new Set(names).size, names.length);
    }
    for (const policy of policies) {
      assert.match(policy.name, /^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/);
      assert.ok(policy.priority >= 0 && policy.priority <= 1000);
      assert.ok(policy.rules.length <= 1000);
      const names = policy.rules.map((rule) => rule.name);
      assert.equal(new Set(names).size, names.length);
      assert.ok(!names.includes("default"));
    }
  });

  it("CIDRs are canonical, excepts inside and smaller, sets without /0", () => {
    for (const peer of rules.flatMap((rule) => [...rule.from, ...rule.to])) {
      if (peer.kind === "cidr") {
        assertCanonical(peer.cidr);
        for (const block of peer.except) {
          assertCanonical(block);
          assert.ok(block.length > peer.cidr.length);
          assert.ok(cidrContains(peer.cidr, firstAddress(block)));
        }
      }
    }
    for (const { cidr } of worlds.flatMap((world) => [...world.sets.values()].flatMap(entriesOf))) {
      assertCanonical(cidr);
      assert.ok(cidr.length > 0);
    }
  });

  it("every set that a rule names exists", () => {
    for (const world of worlds) {
      const owners = [...world.policies.flatMap((policy) => policy.rules), ...world.failSafe];
      for (const peer of owners.flatMap((rule) => [...rule.from, ...rule.to])) {
        assert.ok(peer.kind !== "cidrSet" || world.sets.has(peer.setName));
      }
    }
  });

  it("ranges are in order; flags are not both set and unset; fail-safe rules accept", () => {
    for (const match of rules.flatMap((rule) => rule.protocols)) {
      if (match.kind === "tcp" || match.kind === "udp" || match.kind === "sctp") {
        for (const range of [match.sourcePort, match.destinationPort]) {
          assert.ok(range === undefined || (range.start <= range.end && range.end <= 65_535));
        }
      }
      if (match.kind === "tcp" && match.flags !== undefined) {
        const { set, unset } = match.flags;
        assert.ok(set.length + unset.length > 0);
        assert.ok(!set.some((flag) => unset.includes(flag)));
      }
    }
    assert.ok(
      worlds.every((world) => world.failSafe.every((rule) => rule.action.kind === "Accept")),
    );
  });

  it("they can be written as manifests", () => {
    for (const world of worlds.slice(0, 20)) {
      const kinds = worldToYaml(world).match(/^kind: .*/gm) ?? [];
      assert.equal(kinds.length, world.policies.length + world.sets.size + world.nodes.length);
    }
  });
});

describe("built frames", () => {
  const ports = { source: 1, destination: 2 };
  const variants = [
    { protocol: 6, payload: tcp(ports, 0x02, 3) },
    { protocol: 17, payload: udp(ports, new Uint8Array(9)) },
    { protocol: 132, payload: sctp(ports) },
    { protocol: 1, payload: icmp(8, 0) },
    { protocol: 58, payload: icmp(135, 0) },
    { protocol: 47, payload: new Uint8Array(4) },
  ];

  it("tell the truth: the oracle reads back what was put in", () => {
    for (const family of [4, 6] as const) {
      for (const variant of variants) {
        const source = { family, value: 0x0a000001n };
        const destination = { family, value: 0x0a000002n };
        const frame = buildFrame({
          ...variant,
          source,
          destination,
          vlanTags: [0x88a8, 0x8100],
          optionWords: 2,
          outerHeaders: [{ type: 0, units: 1 }],
          innerHeaders: [{ type: 60, units: 0 }],
          fragment: { id: 77, offset: 0, more: true },
          padding: 3,
        });
        const parsed = parseFrame(frame);
        assert.ok(parsed.kind === "parsed", JSON.stringify(parsed.kind));
        const { packet } = parsed;
        assert.deepEqual([packet.source, packet.destination], [source, destination]);
        assert.equal(packet.protocol, variant.protocol);
        assert.deepEqual(packet.fragment, {
          id: 77,
          /* By the fragment header: the inner options header stands behind it. */
          protocol: family === 4 ? variant.protocol : 60,
          offset: 0,
          more: true,
        });
        assert.equal(packet.hasOptions, true);
      }
    }
  });

  it("are cut at every byte from the Ethernet header on", () => {
    const frame = Uint8Array.from({ length: 20 }, (_, index) => index);
    assert.deepEqual(
      allCuts(frame, 100).map((part) => part.length),
      [14, 15, 16, 17, 18, 19, 20],
    );
  });
});
