import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { withNamespaces } from "../support/netns.js";
import { setCases } from "./set-cases.js";
import { expiryCases, probe, trialCases } from "./time-cases.js";
import { codes, createWorld, drop, host, policy, until, type World } from "./world.js";

test("what the folder says, packets obey", async (context) => {
  await withNamespaces(async (lab) => {
    const world = await createWorld(lab);
    world.write("edge.yaml", policy("edge", { rules: [drop("host3", host(3))] }));
    await world.start({ flags: { "confirm-probe": `${probe.address}:${probe.port}` } }).ready();
    await edits(context, world);
    await setCases(context, world);
    await expiryCases(context, world);
    await trialCases(context, world);
    await conflicts(context, world);
  });
});

async function edits(context: TestContext, world: World): Promise<void> {
  await context.test("an edited rule acts", async () => {
    assert.equal(await world.passes(host(3)), false);
    assert.equal(await world.passes(host(4)), true);
    world.write("edge.yaml", policy("edge", { rules: [drop("host4", host(4))] }));
    await world.untilPasses(host(4), false);
    assert.equal(await world.passes(host(3)), true);
  });

  await context.test(
    "a broken file leaves its last good objects in force, a mended one acts",
    async () => {
      world.write("edge.yaml", "kind: XdpPolicy\nmetadata: {name: edge\n");
      await until("the fault is told", async () =>
        (await allCodes(world)).includes("SLUICE_YAML_SYNTAX"),
      );
      assert.equal(await world.passes(host(4)), false);
      world.write("other.yaml", policy("other", { priority: 5, rules: [drop("host5", host(5))] }));
      await world.untilPasses(host(5), false);
      world.write("edge.yaml", policy("edge", { rules: [drop("host3", host(3))] }));
      await world.untilPasses(host(3), false);
      assert.equal(await world.passes(host(4)), true);
      assert.deepEqual(await allCodes(world), []);
    },
  );

  await context.test("a policy goes with its file", async () => {
    world.remove("other.yaml");
    await world.untilPasses(host(5), true);
    assert.equal(await world.passes(host(3)), false);
  });

  await context.test("a policy acts where its selector matches the node's labels", async () => {
    const selecting = (role: string) =>
      policy("selecting", {
        priority: 7,
        spec: [`nodeSelector: {matchLabels: {role: ${role}}}`],
        rules: [drop("host6", host(6))],
      });
    world.write("selecting.yaml", selecting("edge"));
    await world.untilPasses(host(6), false);
    world.write("selecting.yaml", selecting("core"));
    await world.untilPasses(host(6), true);
    assert.equal((await world.policy("selecting")).inForce, false);
    world.remove("selecting.yaml");
  });
}

async function conflicts(context: TestContext, world: World): Promise<void> {
  await context.test(
    "of two policies of one name the first in file order is in force",
    async () => {
      world.write("a.yaml", policy("twin", { rules: [drop("first", host(3))] }));
      await world.untilPasses(host(3), false);
      world.write("b.yaml", policy("twin", { rules: [drop("second", host(4))] }));
      await until("the twin is told", async () =>
        (await codes(world, "twin")).includes("SLUICE_DUPLICATE_OBJECT"),
      );
      assert.equal(await world.passes(host(3)), false);
      assert.equal(await world.passes(host(4)), true);
      world.remove("a.yaml");
      await world.untilPasses(host(4), false);
      assert.equal(await world.passes(host(3)), true);
    },
  );

  await context.test(
    "two policies of one priority are judged by name, with a warning",
    async () => {
      const accept = `{name: accept, action: Accept, from: [{cidr: ${host(5)}/32}]}`;
      world.write(
        "same-b.yaml",
        policy("same-b", { priority: 50, rules: [drop("drop", host(5))] }),
      );
      await world.untilPasses(host(5), false);
      world.write("same-a.yaml", policy("same-a", { priority: 50, rules: [accept] }));
      await world.untilPasses(host(5), true);
      for (const name of ["same-a", "same-b"]) {
        const [problem] = await world.problems(name);
        assert.equal(problem?.code, "SLUICE_SAME_PRIORITY");
        assert.equal(problem.severity, "warning");
      }
      world.remove("same-a.yaml");
      world.remove("same-b.yaml");
    },
  );

  await context.test("a policy of 5,000 rules is refused, the rest is in force", async () => {
    world.write("huge.yaml", policy("huge", { priority: 1, rules: manyRules(5000) }));
    await until("the refusal is told", async () => (await codes(world, "huge")).length > 0);
    assert.match((await world.problems("huge"))[0]?.message ?? "", /1,?000/);
    assert.equal(await world.passes(host(4)), false);
    world.remove("huge.yaml");
  });

  await context.test(
    "of policies with 5,000 rules together the one too many is refused whole",
    async () => {
      for (let part = 1; part <= 5; part++) {
        world.write(
          `part${part}.yaml`,
          policy(`part${part}`, { priority: part, rules: manyRules(1000) }),
        );
      }
      await until("a part is refused", async () =>
        (await codes(world, "part5")).includes("SLUICE_CAPACITY"),
      );
      assert.match(
        (await world.problems("part5"))[0]?.message ?? "",
        /does not fit: rules holds 4096/,
      );
      const { policies } = await world.api.call("status");
      assert.deepEqual(
        policies
          .filter(({ inForce }) => inForce)
          .map(({ name }) => name)
          .sort(),
        ["part1", "part2", "part3", "part4", "twin"],
      );
      assert.equal(await world.passes(host(4)), false);
      world.remove("part1.yaml");
      await until("there is room", async () => (await world.policy("part5")).inForce);
      assert.deepEqual(await codes(world, "part5"), []);
    },
  );
}

function manyRules(count: number): readonly string[] {
  return Array.from(
    { length: count },
    (_, at) =>
      `{name: rule-${at}, action: Drop, protocols: [{udp: {destinationPort: {number: ${10_000 + at}}}}]}`,
  );
}

async function allCodes({ api }: World): Promise<readonly string[]> {
  return (await api.call("status")).problems.map(({ code }) => code);
}
