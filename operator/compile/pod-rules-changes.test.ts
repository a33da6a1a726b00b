import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createRandom, type Random } from "../../test/fuzz/random.js";
import {
  clusterPolicy,
  networkPolicy,
  podRecord,
  read,
} from "../../test/support/policy-cluster.js";
import type { NamespaceRecord, PodRecord } from "../model/records-pod.js";
import { parseCidr } from "../model/cidr.js";
import { compilePodRules, type PodRules, type PodRulesInput } from "./pod-rules.js";
import { PodRulesCache } from "./pod-rules-cache.js";
import { memberKey } from "./set-content.js";

const NAMESPACES = ["x", "y", "z"];
const STEPS = 1500;

/** What of an input changes at a step. */
interface State {
  readonly pods: Map<string, PodRecord>;
  readonly namespaces: Map<string, NamespaceRecord>;
  readonly networkPolicies: PodRulesInput["networkPolicies"][number][];
  readonly clusterNetworkPolicies: PodRulesInput["clusterNetworkPolicies"][number][];
  nodes: PodRulesInput["nodes"];
}

function randomPod(random: Random, key: string): PodRecord {
  const last = random.between(1, 30);
  const ports = random.list(0, 2, () => ({
    name: random.pick(["web", "dns"]),
    protocol: random.pick(["tcp", "udp"] as const),
    port: random.pick([53, 80, 81]),
  }));
  return podRecord(key, {
    labels: { app: random.pick(["a", "b", "c"]), ...(random.chance(0.3) && { tier: "front" }) },
    ips: random.pick([[], [`10.0.0.${last}/32`], [`10.0.0.${last}/32`, `fd00::${last}/128`]]),
    ports,
    isRemote: random.chance(0.6),
    isHostNetwork: random.chance(0.1),
    isCompleted: random.chance(0.1),
  });
}

function randomSelector(random: Random): object {
  const app = { matchLabels: { app: random.pick(["a", "b", "c"]) } };
  const tier = { matchExpressions: [{ key: "tier", operator: "Exists" }] };
  return random.pick([{}, app, tier]);
}

function randomPolicy(random: Random, name: string) {
  const teams = () => random.pick([{}, { matchLabels: { team: random.pick(["one", "two"]) } }]);
  const peers = random.list(0, 2, () =>
    random.weighted<object>(
      [2, { podSelector: randomSelector(random) }],
      [2, { namespaceSelector: teams(), podSelector: randomSelector(random) }],
      [1, { ipBlock: { cidr: "10.0.0.0/27", except: ["10.0.0.0/29"] } }],
      [1, { ipBlock: { cidr: "0.0.0.0/0" } }],
    ),
  );
  const ports = random.list(0, 2, () => ({ port: random.pick(["web", "dns", 80]) }));
  const spec = {
    podSelector: randomSelector(random),
    policyTypes: random.pick([["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
    ingress: [{ from: peers, ports }],
    egress: [{ to: peers, ports }],
  };
  const mode = random.chance(0.2) ? "audit" : undefined;
  return read("NetworkPolicy", networkPolicy(`${random.pick(NAMESPACES)}/${name}`, spec, mode));
}

function randomClusterPolicy(random: Random, name: string) {
  const namespaces = random.pick([{}, { matchLabels: { team: "one" } }]);
  const spec = {
    tier: random.pick(["Admin", "Baseline"]),
    priority: random.between(0, 5),
    subject: { namespaces },
    egress: [
      { action: random.pick(["Accept", "Deny", "Pass"]), to: [{ nodes: randomSelector(random) }] },
      { action: "Deny", to: [{ namespaces }], protocols: [{ destinationNamedPort: "web" }] },
    ],
  };
  return read("ClusterNetworkPolicy", clusterPolicy(name, spec));
}

/** Changes one thing. Returns the keys of the pods that changed. */
function change(random: Random, state: State): readonly string[] {
  const podKey = `${random.pick(NAMESPACES)}/${random.between(1, 12)}`;
  const name = random.pick(NAMESPACES);
  const number = random.between(0, 7);
  return random.weighted<() => readonly string[]>(
    [
      8,
      () => {
        if (random.chance(0.2)) state.pods.delete(podKey);
        else state.pods.set(podKey, randomPod(random, podKey));
        return [podKey];
      },
    ],
    [
      2,
      () => {
        const known = state.pods.get(podKey);
        if (known === undefined) return [];
        const labels = { app: random.pick(["a", "b", "c"]) };
        state.pods.set(podKey, { ...known, labels });
        return [podKey];
      },
    ],
    [
      2,
      () => {
        const labels = random.pick([{}, { team: "one" }, { team: "two" }]);
        if (random.chance(0.2)) state.namespaces.delete(name);
        else state.namespaces.set(name, read("Namespace", { metadata: { name, labels } }));
        return [];
      },
    ],
    [
      3,
      () => {
        if (random.chance(0.3)) state.networkPolicies.splice(number, 1);
        else
          state.networkPolicies[Math.min(number, state.networkPolicies.length)] = randomPolicy(
            random,
            `p${random.between(0, 1000)}`,
          );
        return [];
      },
    ],
    [
      1,
      () => {
        const list = state.clusterNetworkPolicies;
        if (random.chance(0.3)) list.splice(number, 1);
        else
          list[Math.min(number, list.length)] = randomClusterPolicy(
            random,
            `c${random.between(0, 1000)}`,
          );
        return [];
      },
    ],
    [
      1,
      () => {
        state.nodes = random.list(0, 3, (index) => ({
          kind: "Node" as const,
          name: `n${index}`,
          origin: { source: "test" },
          labels: { app: random.pick(["a", "b"]) },
          addresses: [parseCidr(`192.168.0.${random.between(1, 5)}/32`)],
          internalAddresses: [],
          createdAtMs: 0,
          podCidrs: [],
          isLeaving: false,
        }));
        return [];
      },
    ],
  )();
}

function plain({ contents, policyPods, ...rest }: PodRules) {
  return {
    ...rest,
    policyPods: [...policyPods],
    contents: [...contents]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, { parts, ...roots }]) => [
        key,
        roots,
        [...parts].map(([name, part]) => [name, [...part.sortedV4], part.v6.map(memberKey).sort()]),
      ]),
  };
}

describe("rules of pods after many changes", () => {
  for (const withHint of [false, true]) {
    const how = withHint ? "and the changed pods named" : "and any pod may have changed";
    it(`are those of a new cache, ${how}`, () => {
      const random = createRandom(5, Number(withHint));
      const state: State = {
        pods: new Map(),
        namespaces: new Map(),
        networkPolicies: [],
        clusterNetworkPolicies: [],
        nodes: [],
      };
      const cache = new PodRulesCache();
      const slots = new Map<string, number>();
      let before: PodRules | undefined;
      const seen = { same: 0, sets: 0, rules: 0, bits: 0 };
      for (let step = 0; step < STEPS; step++) {
        const changedPods = change(random, state);
        const local = [...state.pods].filter(([, { nodeName }]) => nodeName === "here");
        for (const [key] of local) slots.set(key, slots.get(key) ?? slots.size);
        const input: PodRulesInput = {
          ...state,
          localPods: local.map(([key, record]) => {
            const slot = slots.get(key)!;
            return { key, record, slotIn: 2 * slot + 1, slotOut: 2 * slot + 2 };
          }),
          ownAddresses: [],
        };
        const rules = compilePodRules({ ...input, ...(withHint && { changedPods }) }, cache);
        const fresh = compilePodRules(input, new PodRulesCache());
        assert.deepEqual(plain(rules), plain(fresh), `step ${step}`);
        if (rules === before) seen.same++;
        else if (rules.rules === before?.rules) seen.sets++;
        else seen.rules++;
        seen.bits = Math.max(seen.bits, rules.rules.length);
        before = rules;
      }
      assert.ok(seen.same > 100 && seen.sets > 100 && seen.rules > 100, JSON.stringify(seen));
      assert.ok(seen.bits > 30, JSON.stringify(seen));
    });
  }
});
