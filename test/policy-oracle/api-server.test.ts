/** The manifests of the tables and of the generators are what a real API server accepts. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Cluster as TestCluster, startCluster } from "../support/cluster/cluster.js";
import { assertNetworkPolicy } from "./acceptable.js";
import { generateCase } from "./generate.js";
import { NAMESPACES } from "./generate-cluster.js";
import { judge } from "./judge.js";
import type { NetworkPolicy, Pod } from "./manifests.js";
import { loadSpecs } from "./spec.js";
import { openSpec, takeStep } from "./spec-cluster.js";

let api: TestCluster;

before(async () => {
  api = await startCluster();
  const names = [...NAMESPACES, "x", "y", "z", "y-2"];
  await api.apply(
    names.flatMap((name) => [
      { apiVersion: "v1", kind: "Namespace", metadata: { name } },
      // What a controller makes in a whole cluster; pods need it.
      { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default", namespace: name } },
    ]),
  );
});

after(() => api.close());

interface Answer<T> {
  readonly asked: T;
  readonly status: number;
  readonly text: string;
}

/** What the API server would answer to the creation of each object. */
async function dryRun<T extends NetworkPolicy | Pod>(
  collection: (namespace: string) => string,
  objects: readonly T[],
): Promise<readonly Answer<T>[]> {
  const answers: Answer<T>[] = [];
  for (let start = 0; start < objects.length; start += 20) {
    const batch = objects.slice(start, start + 20).map(async (asked) => {
      const path = `${collection(asked.metadata.namespace ?? "")}?dryRun=All&fieldValidation=Strict`;
      const { status, text } = await api.rest.send({ method: "POST", path, body: asked });
      return { asked, status, text };
    });
    answers.push(...(await Promise.all(batch)));
  }
  return answers;
}

const policiesOf = (namespace: string) =>
  `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`;

function refusals(answers: readonly Answer<NetworkPolicy | Pod>[]): readonly string[] {
  return answers
    .filter(({ status }) => status !== 201)
    .map(({ asked, text }) => `${JSON.stringify(asked)}: ${text}`);
}

/** Every copy of the value with one entry or key left out, at any depth. */
function cutsOf(value: unknown): readonly unknown[] {
  if (typeof value !== "object" || value === null) {
    return [];
  }
  if (Array.isArray(value)) {
    const list: readonly unknown[] = value;
    return list.flatMap((entry, index) => [
      list.toSpliced(index, 1),
      ...cutsOf(entry).map((cut) => list.with(index, cut)),
    ]);
  }
  return Object.entries(value).flatMap(([key, entry]) => {
    const { [key]: _, ...rest } = value as Record<string, unknown>;
    return [rest, ...cutsOf(entry).map((cut) => ({ ...value, [key]: cut }))];
  });
}

function isAcceptable(policy: NetworkPolicy): boolean {
  try {
    assertNetworkPolicy(policy);
    return true;
  } catch {
    return false;
  }
}

describe("the API server accepts", () => {
  it("every policy of the tables", async () => {
    const policies = (["e2e", "cyclonus"] as const).flatMap((file) =>
      loadSpecs(file).flatMap((spec) =>
        ([4, 6] as const).flatMap((family) => {
          let state = openSpec(spec);
          return spec.steps.flatMap((step) => {
            state = takeStep(state, step, family);
            return state.cluster.networkPolicies;
          });
        }),
      ),
    );
    assert.ok(policies.length > 320);
    assert.deepEqual(refusals(await dryRun(policiesOf, policies)), []);
  });

  it("every generated NetworkPolicy, and its defaults change no verdict", async () => {
    for (let index = 0; index < 100; index += 1) {
      const { cluster, packets } = generateCase(5, index, 20);
      const answers = await dryRun(policiesOf, cluster.networkPolicies);
      assert.deepEqual(refusals(answers), []);
      const networkPolicies = answers.map(({ text }) => JSON.parse(text) as NetworkPolicy);
      for (const packet of packets) {
        const judged = judge({ ...cluster, networkPolicies }, packet);
        assert.deepEqual(judged, judge(cluster, packet));
      }
    }
  });

  it("every generated policy that shrinking cuts something out of", async () => {
    const cuts = Array.from({ length: 25 }, (_, index) => generateCase(6, index, 0))
      .flatMap(({ cluster }) => cluster.networkPolicies)
      .flatMap((policy) =>
        cutsOf(policy.spec).map((spec) => ({ ...policy, spec }) as NetworkPolicy),
      );
    const answers = await dryRun(policiesOf, cuts.filter(isAcceptable));
    assert.ok(answers.length > 500, `${answers.length}`);
    assert.ok(answers.length < cuts.length);
    assert.deepEqual(refusals(answers), []);
  });

  it("the ports of every generated pod", async () => {
    const pods = Array.from({ length: 150 }, (_, index) => generateCase(7, index, 0))
      .flatMap(({ cluster }) => cluster.pods)
      .map((pod) => ({ ...pod, spec: { ...pod.spec, ...withImages(pod) } }));
    const answers = await dryRun((namespace) => `/api/v1/namespaces/${namespace}/pods`, pods);
    assert.deepEqual(refusals(answers), []);
    assert.ok(answers.length > 100);
  });
});

/** The generators leave out what no policy depends on. */
function withImages({ spec: { containers, initContainers = [] } }: Pod): object {
  const withImage = (list: Pod["spec"]["containers"]) =>
    list.map((container) => ({ ...container, image: "image" }));
  return {
    containers: withImage(containers),
    initContainers: withImage(initContainers),
    automountServiceAccountToken: false,
  };
}
