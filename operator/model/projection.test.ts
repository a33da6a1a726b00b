import assert from "node:assert/strict";
import { it } from "node:test";
import { Interner } from "./interner.js";
import { projectClusterObject } from "./project-cluster.js";
import { recordOf } from "./projection.js";
import type { NetworkPolicyRecord } from "./records-network-policy.js";
import type { NamespaceRecord } from "./records-pod.js";

const ORIGIN = { source: "api" };
const metadata = { name: "a", namespace: "x" };

it("a record is its draft with its origin, and its generation where it has one", () => {
  const interner = new Interner();
  const namespace = projectClusterObject("Namespace", { metadata }, ORIGIN, interner).draft!;
  assert.deepEqual(recordOf<NamespaceRecord>(namespace, ORIGIN), { ...namespace, origin: ORIGIN });
  const policy = projectClusterObject("NetworkPolicy", { metadata }, ORIGIN, interner).draft!;
  assert.deepEqual(recordOf<NetworkPolicyRecord>(policy, ORIGIN, 3), {
    ...policy,
    origin: ORIGIN,
    generation: 3,
  });
});
