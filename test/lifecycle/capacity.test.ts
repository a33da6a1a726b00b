import assert from "node:assert/strict";
import { test } from "node:test";
import { withNamespaces } from "../support/netns.js";
import {
  cidrSet,
  codes,
  createWorld,
  drop,
  dropSet,
  friend,
  host,
  nodeAddress,
  policy,
  udpPort,
  until,
} from "./world.js";

test("what does not fit is refused whole, and what was in force stays", async (context) => {
  await withNamespaces(async (lab) => {
    const world = await createWorld(lab);
    world.write("edge.yaml", policy("edge", { rules: [drop("edge", host(3))] }));
    world.write(
      "using.yaml",
      policy("using", { priority: 90, rules: [dropSet("listed", "listed")] }),
    );
    world.write("listed.json", cidrSet("listed", [host(5)]));
    await world.start({ flags: { "address-lines": "1024" } }).ready();
    assert.equal(await world.passes(host(5)), false);

    const newcomer = { from: host(6), to: nodeAddress, port: udpPort };
    await context.test(
      "a set that outgrows the table keeps what it held, and the report names the table",
      async () => {
        await world.outer.call("startStream", { ...newcomer, stream: "newcomer", perSecond: 500 });
        world.write("listed.json", cidrSet("listed", [host(6), ...spread(3000)]));
        await until("the refusal is told", async () =>
          (await codes(world, "listed")).includes("SLUICE_CAPACITY"),
        );
        const [problem] = await world.problems("listed");
        assert.deepEqual([problem?.kind, problem?.keptGeneration], ["XdpCidrSet", 1]);
        assert.match(problem?.message ?? "", /set listed does not fit: address lines holds \d+/);
        assert.equal(await world.passes(host(5)), false);
        assert.equal((await world.policy("using")).inForce, true);
        const sent = await world.outer.call("endStream", { stream: "newcomer" });
        assert.ok(await world.passes(friend));
        assert.equal(
          await world.inner.call("heard", { stream: "newcomer" }),
          sent - (await world.inner.call("overflows", {})),
          "some of the refused set was in force for a while",
        );
      },
    );

    await context.test("changes beside it act", async () => {
      world.write("edge.yaml", policy("edge", { rules: [drop("edge", host(4))] }));
      await world.untilPasses(host(4), false);
      assert.equal(await world.passes(host(3)), true);
      assert.equal(await world.passes(host(5)), false);
      assert.deepEqual(await codes(world, "listed"), ["SLUICE_CAPACITY"]);
    });

    await context.test(
      "a new policy with too large a set is refused, a small one beside it is not",
      async () => {
        world.write("large.json", cidrSet("large", spread(3000)));
        world.write(
          "new.yaml",
          [
            policy("a-large", { priority: 1, rules: [dropSet("large", "large")] }),
            policy("z-small", { priority: 2, rules: [drop("small", host(7))] }),
          ].join("---\n"),
        );
        await world.untilPasses(host(7), false);
        assert.equal((await world.policy("a-large")).inForce, false);
        assert.match(
          (await world.problems("a-large"))[0]?.message ?? "",
          /does not fit: address lines/,
        );
        assert.deepEqual(await codes(world, "z-small"), []);
      },
    );

    await context.test("a set that fits again acts", async () => {
      world.write("listed.json", cidrSet("listed", [host(6)]));
      await world.untilPasses(host(6), false);
      assert.equal(await world.passes(host(5)), true);
      assert.deepEqual(await codes(world, "listed"), []);
    });
  });
});

/** Addresses that share no /16, which the table could hold together. */
function spread(count: number): readonly string[] {
  return Array.from({ length: count }, (_, at) => `${20 + (at >> 8)}.${at & 255}.1.1`);
}
