import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeStatus } from "./describe-node.js";
import { NodeViews } from "./node-view.js";

type Entry = NonNullable<NonNullable<NodeStatus["podPolicies"]>["entries"]>[number];

const entry = (name: string, more: Partial<Entry> = {}): Entry => ({
  kind: "NetworkPolicy",
  name,
  generation: 2,
  observedGeneration: 2,
  pods: 1,
  state: "Enforcing",
  ...more,
});
const cluster = (pods: number) => entry("base", { kind: "ClusterNetworkPolicy", pods });

function viewsOf(...nodes: readonly (readonly Entry[])[]): NodeViews {
  const views = new NodeViews();
  nodes.forEach((entries, index) => views.set(`node${index}`, { podPolicies: { entries } }));
  return views;
}

test("nodes that differ in NetworkPolicies that act and in numbers of pods share one view", () => {
  const views = viewsOf(
    [cluster(1), entry("web/a")],
    [
      cluster(9),
      entry("web/b"),
      entry("web/c", { state: "Auditing", code: "SLUICE_NO_SUCH_PORT" }),
    ],
  );
  assert.equal(views.distinct, 1);
  assert.deepEqual(
    [...(views.get("node1")?.podPolicies ?? [])],
    [["ClusterNetworkPolicy base", { generation: 2, observedGeneration: 2, state: "Enforcing" }]],
  );
});

test("a failure is in the view, with its reason", () => {
  const refused = entry("web/a", { state: "Refused", generation: 1, message: "does not fit" });
  const views = viewsOf([cluster(1)], [cluster(1), refused]);
  assert.equal(views.distinct, 2);
  assert.deepEqual(views.get("node1")?.podPolicies.get("NetworkPolicy web/a"), {
    generation: 1,
    observedGeneration: 2,
    state: "Refused",
    message: "does not fit",
  });
});
