import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { cidrSet, codes, drop, dropSet, host, policy, until, type World } from "./world.js";

/** What becomes of policies when sets come, change and go. */
export async function setCases(context: TestContext, world: World): Promise<void> {
  const using = (rule: string, setName: string) =>
    policy("using", { priority: 8, rules: [dropSet(rule, setName)] });

  await context.test("a policy waits for its set, and says so", async () => {
    world.write("using.yaml", using("listed", "listed"));
    await until("the missing set is told", async () =>
      (await codes(world, "using")).includes("SLUICE_UNKNOWN_SET"),
    );
    assert.equal((await world.policy("using")).inForce, false);
    assert.equal(await world.passes(host(4)), true);
    world.write("listed.json", cidrSet("listed", [host(4)]));
    await world.untilPasses(host(4), false);
    assert.deepEqual(await codes(world, "using"), []);
  });

  await context.test(
    "a set gains and loses addresses, and tells the generation in force",
    async () => {
      const objects = async () => (await world.api.call("sets")).map((set) => set.objects);
      assert.deepEqual(await objects(), [
        [{ name: "listed", generation: 1, generationInForce: 1 }],
      ]);
      world.write("listed.json", cidrSet("listed", [host(5)]));
      await world.untilPasses(host(5), false);
      await world.untilPasses(host(4), true);
      assert.deepEqual(await objects(), [
        [{ name: "listed", generation: 2, generationInForce: 2 }],
      ]);
    },
  );

  await context.test(
    "what a set held stays in force when the set goes, and the report says so",
    async () => {
      world.remove("listed.json");
      await until("the missing set is told", async () =>
        (await codes(world, "using")).includes("SLUICE_UNKNOWN_SET"),
      );
      const [problem] = await world.problems("using");
      assert.match(problem?.message ?? "", /listed.*what it last held stays in force/);
      assert.equal((await world.policy("using")).inForce, true);
      assert.equal(await world.passes(host(5)), false);
      assert.deepEqual(
        (await world.api.call("sets")).map(({ name, objects, ipv4Prefixes, usedBy }) => [
          name,
          objects,
          ipv4Prefixes,
          usedBy,
        ]),
        [["listed", [], 1, ["using"]]],
      );
    },
  );

  await context.test(
    "an edit that still needs the missing set waits, and the version before stays",
    async () => {
      world.write("using.yaml", using("renamed", "listed"));
      await until(
        "the edit is seen",
        async () => (await world.policy("using")).generationInForce === 1,
      );
      await world.rule("using", "listed");
      assert.equal(await world.passes(host(5)), false);
      world.write("edge.yaml", policy("edge", { rules: [drop("host6", host(6))] }));
      await world.untilPasses(host(6), false);
      assert.equal(await world.passes(host(5)), false, "another edit took the set away");
    },
  );

  await context.test(
    "the set comes back with other content, which acts with the waiting edit",
    async () => {
      world.write("listed.json", cidrSet("listed", [host(7)]));
      await world.untilPasses(host(7), false);
      assert.equal(await world.passes(host(5)), true);
      await world.rule("using", "renamed");
      assert.deepEqual(await codes(world, "using"), []);
    },
  );

  await context.test("when nobody uses it, nothing of a set is left", async () => {
    world.remove("using.yaml");
    await world.untilPasses(host(7), true);
    world.remove("listed.json");
    await until("no set is left", async () => (await world.api.call("sets")).length === 0);
  });
}
