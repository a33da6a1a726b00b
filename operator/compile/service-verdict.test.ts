import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type FrontendKind,
  frontendVerdict,
  isExternallyAccessible,
  neededLists,
  type Sender,
} from "./service-verdict.js";

/** C, L: list; M: masqueraded. */
function cell(
  [externalTrafficPolicy, internalTrafficPolicy]: readonly [
    "Cluster" | "Local",
    "Cluster" | "Local",
  ],
  sender: Sender,
  kind: FrontendKind,
  { knowsPods = true, masqueradeAll = false } = {},
): string {
  const service = {
    type: "LoadBalancer",
    externalIPs: [],
    externalTrafficPolicy,
    internalTrafficPolicy,
  } as const;
  const { list, masquerade } = frontendVerdict(service, kind, sender, { knowsPods, masqueradeAll });
  return `${list === "local" ? "L" : "C"}${masquerade ? " M" : ""}`;
}

const CLUSTER = ["Cluster", "Cluster"] as const;
const EXTERNAL_LOCAL = ["Local", "Cluster"] as const;
const INTERNAL_LOCAL = ["Cluster", "Local"] as const;
const EXTERNAL: readonly FrontendKind[] = ["nodePort", "loadBalancerIP", "externalIP"];

/** Sender, frontends, and what holds under both Cluster, external Local, internal Local. */
type Row = readonly [Sender, readonly FrontendKind[], string, string, string];

const BASE: readonly Row[] = [
  ["pod", ["clusterIP"], "C", "C", "L"],
  ["pod", EXTERNAL, "C M", "C", "C M"],
  ["node", ["clusterIP"], "C M", "C M", "L M"],
  ["node", EXTERNAL, "C M", "C M", "C M"],
  ["outside", ["clusterIP"], "C M", "C M", "L M"],
  ["outside", EXTERNAL, "C M", "L", "C M"],
];
const WITHOUT_PODS: readonly Row[] = [
  ["pod", ["clusterIP"], "C", "C", "L"],
  ["pod", EXTERNAL, "C M", "L", "C M"],
  ["node", ["clusterIP"], "C", "C", "L"],
  ["node", EXTERNAL, "C M", "C M", "C M"],
  ["outside", ["clusterIP"], "C", "C", "L"],
  ["outside", EXTERNAL, "C M", "L", "C M"],
];
const ALL: readonly Row[] = [
  ["pod", ["clusterIP"], "C M", "C M", "L M"],
  ["pod", EXTERNAL, "C M", "C", "C M"],
  ...BASE.slice(2),
];
const WITHOUT_PODS_ALL: readonly Row[] = [
  ["pod", ["clusterIP"], "C M", "C M", "L M"],
  ["pod", EXTERNAL, "C M", "L", "C M"],
  ["node", ["clusterIP"], "C M", "C M", "L M"],
  ["node", EXTERNAL, "C M", "C M", "C M"],
  ["outside", ["clusterIP"], "C M", "C M", "L M"],
  ["outside", EXTERNAL, "C M", "L", "C M"],
];

describe("where a packet to a service goes", () => {
  for (const [name, rows, options] of [
    ["as a cluster is", BASE, {}],
    ["without knowing pods", WITHOUT_PODS, { knowsPods: false }],
    ["with everything masqueraded", ALL, { masqueradeAll: true }],
    ["with both", WITHOUT_PODS_ALL, { knowsPods: false, masqueradeAll: true }],
  ] as const) {
    for (const [sender, kinds, cluster, externalLocal, internalLocal] of rows) {
      for (const kind of kinds) {
        it(`${name}: from ${sender} to ${kind}`, () => {
          assert.deepEqual(
            [CLUSTER, EXTERNAL_LOCAL, INTERNAL_LOCAL].map((policies) =>
              cell(policies, sender, kind, options),
            ),
            [cluster, externalLocal, internalLocal],
          );
        });
      }
    }
  }
});

describe("lists that a service needs", () => {
  const base = {
    type: "ClusterIP",
    externalIPs: [],
    externalTrafficPolicy: "Cluster",
    internalTrafficPolicy: "Cluster",
  } as const;

  it("are by its policies, the external one only where it can be reached from outside", () => {
    assert.deepEqual(neededLists(base), { cluster: true, local: false });
    assert.deepEqual(neededLists({ ...base, internalTrafficPolicy: "Local" }), {
      cluster: false,
      local: true,
    });
    assert.deepEqual(neededLists({ ...base, externalTrafficPolicy: "Local" }), {
      cluster: true,
      local: false,
    });
    for (const type of ["NodePort", "LoadBalancer"] as const) {
      const service = { ...base, type, externalTrafficPolicy: "Local" } as const;
      assert.deepEqual(neededLists(service), { cluster: true, local: true });
    }
  });

  it("count external addresses as reachable from outside", () => {
    const externalIPs = [{ family: 4, address: 1, length: 32 } as const];
    assert.ok(isExternallyAccessible({ type: "ClusterIP", externalIPs }));
    assert.ok(!isExternallyAccessible({ type: "ClusterIP", externalIPs: [] }));
  });
});
