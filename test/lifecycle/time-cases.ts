import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { cidrSet, codes, drop, dropSet, friend, host, policy, until, type World } from "./world.js";

/** What the agent asks before it keeps a policy that nobody has confirmed. */
export const probe = { address: friend, port: 7000 };

/** What ends by itself. */
export async function expiryCases(context: TestContext, world: World): Promise<void> {
  const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();

  await context.test("rules and entries of sets end on time by themselves", async () => {
    const rules = [
      drop("short", host(3), `, expiresAt: "${inMs(2500)}"`),
      drop("past", host(4), `, expiresAt: "${inMs(-60_000)}"`),
      dropSet("ending", "ending"),
    ];
    const expiring = [
      { cidr: `${host(5)}/32`, expiresAt: inMs(3500) },
      { cidr: `${host(6)}/32`, expiresAt: inMs(3_600_000) },
      { cidr: `${host(7)}/32`, expiresAt: inMs(-60_000) },
    ];
    world.write("edge.yaml", cidrSet("ending", [], { expiring }));
    world.write("ending.yaml", policy("ending", { rules }));
    await world.untilPasses(host(3), false);
    assert.equal(await world.passes(host(4)), true, "an expired rule acts");
    assert.equal(await world.passes(host(5)), false);
    assert.equal(await world.passes(host(7)), true, "an expired entry acts");
    await world.untilPasses(host(3), true);
    await world.untilPasses(host(5), true);
    assert.equal(await world.passes(host(6)), false);
    const names = (await world.api.call("rules")).map(({ rule }) => rule);
    assert.ok(!names.includes("short") && !names.includes("past"), names.join());
    world.remove("ending.yaml");
    world.remove("edge.yaml");
    await world.untilPasses(host(6), true);
  });
}

/** Policies with `confirmWithin`. */
export async function trialCases(context: TestContext, world: World): Promise<void> {
  const trial = (address: string, confirmWithin?: string) =>
    policy("trial", {
      spec: confirmWithin === undefined ? [] : [`confirmWithin: ${confirmWithin}`],
      rules: [drop("trial", address)],
    });

  await context.test(
    "a policy is kept when all probes answer at the end of its trial",
    async () => {
      await world.outer.call("serveTcp", { port: probe.port });
      world.write("trial.yaml", trial(host(3), "1s"));
      await world.untilPasses(host(3), false);
      await until(
        "the trial is over",
        async () => (await world.policy("trial")).confirmBy === undefined,
      );
      assert.equal((await world.policy("trial")).rolledBack, undefined);
      assert.equal(await world.passes(host(3)), false);
      await world.outer.call("endTcp", { port: probe.port });
    },
  );

  await context.test("what nobody confirms goes back to the version that was proved", async () => {
    world.write("trial.yaml", trial(host(4), "1h"));
    await world.untilPasses(host(4), false);
    world.write("trial.yaml", trial(host(5), "1s"));
    await world.untilPasses(host(5), false);
    await world.untilPasses(host(5), true);
    assert.equal(await world.passes(host(4)), true, "an unconfirmed version came back");
    assert.equal(await world.passes(host(3)), false, "the proved version is not in force");
    const status = await world.policy("trial");
    assert.equal(status.rolledBack, true);
    assert.deepEqual(
      status.problems.map(({ code }) => code),
      ["SLUICE_ROLLED_BACK"],
    );
  });

  await context.test(
    "a policy that is confirmed stays; a second confirmation is an error",
    async () => {
      world.write("trial.yaml", trial(host(6), "2s"));
      await world.untilPasses(host(6), false);
      await world.api.call("confirm", { policy: "trial" });
      await assert.rejects(
        world.api.call("confirm", { policy: "trial" }),
        (error: Error & { code?: string; remedy?: string }) =>
          error.code === "SLUICE_NOTHING_TO_CONFIRM" &&
          error.message.includes("trial") &&
          error.remedy !== undefined,
      );
      await sleep(2500);
      assert.equal(await world.passes(host(6)), false);
    },
  );

  await context.test("the trial of a policy begins when it comes into force", async () => {
    const waiting = (more: string) =>
      policy("waiting", {
        priority: 9,
        spec: [`confirmWithin: ${more}`],
        rules: [dropSet("late", "late")],
      });
    world.write("waiting.yaml", waiting("1s"));
    await until("the missing set is told", async () =>
      (await codes(world, "waiting")).includes("SLUICE_UNKNOWN_SET"),
    );
    assert.equal((await world.policy("waiting")).confirmBy, undefined);
    await sleep(1200);
    world.write("late.json", cidrSet("late", [host(7)]));
    await world.untilPasses(host(7), false);
    await world.untilPasses(host(7), true);
    for (const name of ["waiting.yaml", "late.json", "trial.yaml"]) world.remove(name);
    await world.untilPasses(host(6), true);
  });
}
