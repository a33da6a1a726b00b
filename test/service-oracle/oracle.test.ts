import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createRandom } from "../fuzz/random.js";
import { compareWith, compiled } from "./compare.js";
import { aim, changeSlices, generateLater, generateWorld } from "./generate.js";
import { answerOf, healthOf } from "./oracle.js";
import { CompiledServices } from "./subject.js";
import type { Answer, Packet, World } from "./world.js";

describe("random services, slices, nodes and packets", () => {
  it("are answered as the oracle answers them", () => {
    const { finding, agreed, answers } = compareWith(compiled, 30, 100_000, 40);
    assert.ok(finding === undefined, finding);
    assert.ok(agreed >= 100_000);
    for (const answer of ["pass", "drop", "reject", "to backends", "to backends, masqueraded"]) {
      assert.ok((answers.get(answer) ?? 0) > 2000, `${answer}: ${answers.get(answer)}`);
    }
    assert.ok((answers.get("to backends, hairpin") ?? 0) > 500, JSON.stringify([...answers]));
  });

  it("are answered so after any changes, one after the other", () => {
    for (let index = 0; index < 150; index++) {
      const random = createRandom(31, index);
      let world = generateWorld(random);
      const subject = new CompiledServices(world);
      for (let step = 0; step < 12; step++) {
        world = generateLater(random, world);
        // Also in several updates of a few Services.
        subject.load(world, random.between(1, 3));
        for (let count = 0; count < 15; count++) {
          const packet = aim(random, world);
          const why = `world ${index}, step ${step}, ${JSON.stringify(packet)}`;
          assert.deepEqual(subject.judge(packet), answerOf(world, packet), why);
        }
        for (const family of [4, 6] as const) {
          const health = subject.compiler
            .healthChecks()
            .map(({ namespace, name, localEndpoints }) => {
              return [`${namespace}/${name}`, localEndpoints[family]] as const;
            });
          // Headless ones are not served, but have no check either.
          const expected = [...healthOf(world, family)].filter(([key]) => isServed(world, key));
          assert.deepEqual(new Map(health), new Map(expected));
        }
      }
    }
  });

  it("have no tables left over from what was before", () => {
    for (let index = 0; index < 60; index++) {
      const random = createRandom(32, index);
      let world = generateWorld(random);
      const subject = new CompiledServices(world);
      for (let step = 0; step < 10; step++) {
        world = generateLater(random, world);
        subject.load(world);
      }
      const { compiler, kernel } = new CompiledServices(world);
      assert.deepEqual(subject.compiler.usage(), compiler.usage(), `world ${index}`);
      assert.deepEqual(subject.compiler.problems(), compiler.problems());
      assert.deepEqual(
        [...subject.kernel.frontends.keys()].sort(),
        [...kernel.frontends.keys()].sort(),
      );
      assert.equal(subject.kernel.backends.size, kernel.backends.size);
      assert.equal(subject.kernel.services.size, kernel.services.size);
      subject.load({ ...world, services: [], slices: [] });
      assert.deepEqual(
        Object.values(subject.compiler.usage()).filter((used) => used > 0),
        [],
      );
    }
  });
});

describe("a writer killed at any write", () => {
  it("leaves each packet the old answer or the new one when endpoints changed", () => {
    let between = 0;
    for (let index = 0; index < 120; index++) {
      const random = createRandom(33, index);
      let world = generateWorld(random);
      const subject = new CompiledServices(world);
      for (let step = 0; step < 4; step++) {
        const before = world;
        world = changeSlices(random, world);
        const packets = Array.from({ length: 8 }, () => aim(random, world));
        const answers = packets.map((packet): readonly [Packet, Answer, Answer] => [
          packet,
          answerOf(before, packet),
          answerOf(world, packet),
        ]);
        const { writes, retired } = subject.change(world);
        for (const [at, write] of writes.entries()) {
          subject.kernel.write(write);
          between += 1;
          for (const [packet, old, now] of answers) {
            const answer = JSON.stringify(subject.judge(packet));
            const isWhole = answer === JSON.stringify(old) || answer === JSON.stringify(now);
            assert.ok(isWhole, `world ${index}, step ${step}, write ${at}: ${answer}`);
          }
        }
        subject.kernel.apply(subject.compiler.reclaim(retired));
      }
    }
    assert.ok(between > 500);
  });
});

describe("a wrong implementation", () => {
  /** Each is found within a few thousand packets. */
  const wrong: readonly (readonly [string, (world: World) => World])[] = [
    ["takes no notice of terminating endpoints", (world) => withoutTerminating(world)],
    ["takes no notice of source ranges", (world) => withSpec(world, "loadBalancerSourceRanges")],
    ["takes no notice of the internal policy", (world) => withSpec(world, "internalTrafficPolicy")],
    ["takes no notice of the external policy", (world) => withSpec(world, "externalTrafficPolicy")],
    ["knows no hints", (world) => withoutHints(world)],
    ["lets anybody have external IPs", (world) => withAnyExternal(world)],
  ];
  for (const [name, change] of wrong) {
    it(`${name}: found, and made small`, () => {
      const { finding } = compareWith((world) => compiled(change(world)), 34, 20_000, 40);
      assert.ok(finding !== undefined);
      assert.ok(finding.split("\n").length < 75, finding);
    });
  }
});

function isServed(world: World, key: string): boolean {
  const service = world.services.find(
    ({ metadata }) => `${metadata.namespace}/${metadata.name}` === key,
  );
  return service?.spec.clusterIPs?.some((text) => text !== "None") ?? false;
}

function withSpec(world: World, field: string): World {
  const services = world.services.map((service) => {
    const spec = Object.fromEntries(Object.entries(service.spec).filter(([key]) => key !== field));
    return { ...service, spec };
  });
  return { ...world, services };
}

function withoutTerminating(world: World): World {
  const slices = world.slices.map((slice) => ({
    ...slice,
    endpoints: (slice.endpoints ?? []).filter(({ conditions }) => !conditions?.terminating),
  }));
  return { ...world, slices };
}

function withoutHints(world: World): World {
  const slices = world.slices.map((slice) => ({
    ...slice,
    endpoints: (slice.endpoints ?? []).map((endpoint) => ({ ...endpoint, hints: {} })),
  }));
  return { ...world, slices };
}

function withAnyExternal(world: World): World {
  return { ...world, node: { ...world.node, allowedExternalIPs: ["0.0.0.0/0", "::/0"] } };
}
