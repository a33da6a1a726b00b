import assert from "node:assert/strict";
import { test } from "node:test";
import { status } from "../../test/agent/fixture-engine.js";
import { podNetwork } from "../../test/agent/fixture-pods.js";
import { describeNode } from "./describe-node.js";

const routing = podNetwork.routing!;
const facts = { kernelVersion: "6.1.0", features: [] };

function condition(more: Partial<typeof routing>) {
  const all = { ...status, podNetwork: { ...podNetwork, routing: { ...routing, ...more } } };
  const { conditions = [] } = describeNode(all, undefined, facts, undefined, 0);
  const { status: holds, reason, message } = conditions.find(({ type }) => type === "RoutesReady")!;
  return [holds, reason, message];
}

test("a NodeDatapath tells how pods of other nodes are reached, and why they are not", () => {
  assert.deepEqual(condition({}), ["True", "Routed", "vxlan by sluice.vxlan, MTU of pods 1450"]);
  assert.deepEqual(condition({ nodes: 3, routes: 9 }), condition({}));
  assert.deepEqual(condition({ error: "cannot add route" }), [
    "False",
    "RoutesFailing",
    "cannot add route",
  ]);
  assert.deepEqual(condition({ inSync: false }).slice(0, 2), ["False", "NotInSync"]);
});

test("without a pod network it says nothing of routes", () => {
  const { conditions = [] } = describeNode(status, undefined, facts, undefined, 0);
  assert.deepEqual(
    conditions.map(({ type }) => type),
    ["Ready"],
  );
});
