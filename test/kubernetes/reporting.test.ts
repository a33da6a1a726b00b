import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { host } from "../lifecycle/world.js";
import { eventually } from "../support/eventually.js";
import { dropFrom, withClusterLab } from "./node.js";

/** A status written within 10 s of the last one waits for the rest of them. */
const patienceMs = 30_000;

describe("agents and their leader", () => {
  it("show in kubectl on how many nodes a policy is in force, and why not on the others", async () => {
    await withClusterLab(async ({ cluster, node }) => {
      const foe = host(7);
      const first = await node("node1");
      const second = await node("node2");
      await first.startAgent().ready();
      await second.startAgent().ready();
      await cluster.kubectl(["apply", "-f", "-"], { input: dropFrom("edge", foe) });
      await first.untilPasses(foe, false);
      await second.untilPasses(foe, false);

      const columns = async () => {
        const text = await cluster.kubectl(["get", "xp", "edge", "--no-headers"]);
        return text.trim().split(/\s+/).slice(0, 4);
      };
      await eventually(async () => {
        assert.deepEqual(await columns(), ["edge", "100", "Enforce", "2/2"]);
      }, patienceMs);

      const datapaths = await cluster.kubectl(["get", "ndp", "-o", "name"]);
      assert.deepEqual(datapaths.trim().split("\n"), [
        "nodedatapath.sluice.dev/node1",
        "nodedatapath.sluice.dev/node2",
      ]);
      await cluster.kubectl(["wait", "xp/edge", "--for=condition=Enforced", "--timeout=10s"]);

      /* Only one of the nodes has such an interface. */
      second.node.run("ip", "link", "set", "eth0", "down");
      second.node.run("ip", "link", "set", "eth0", "name", "lan0");
      second.node.run("ip", "link", "set", "lan0", "up");
      await cluster.apply(dropFrom("edge", foe, 'interfaces: ["eth*"]'));
      const enforced = () =>
        cluster.kubectl([
          "get",
          "xp/edge",
          "-o",
          'jsonpath={.status.conditions[?(@.type=="Enforced")].message}',
        ]);
      // The other node may have reported before this one.
      await eventually(async () => {
        assert.deepEqual(await columns(), ["edge", "100", "Enforce", "1/2"]);
        assert.match(
          await enforced(),
          /in force on 1 of 2 nodes; 1 without an interface that matches/,
        );
      }, patienceMs);
    });
  });
});
