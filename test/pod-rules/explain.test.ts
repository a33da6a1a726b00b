/** What `sluicectl explain` says of manifests: the tables of the public suites, and the oracle's verdicts and names. */

import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { describe, it, test } from "node:test";
import { Explainer } from "../../operator/cli/explain/explain.js";
import { readCluster } from "../../operator/cli/explain/read-cluster.js";
import type { EndWord } from "../../operator/cli/pod-trace/end-words.js";
import type { Walk } from "../../operator/cli/pod-trace/walk.js";
import { formatAddress } from "../../operator/model/cidr-format.js";
import { readLooseAddress } from "../../operator/model/loose-cidr.js";
import type { Family } from "../policy-oracle/address.js";
import { formatAddress as addressText } from "../policy-oracle/address.js";
import { generateCase } from "../policy-oracle/generate.js";
import { judge } from "../policy-oracle/judge.js";
import type { Cluster, NetworkPolicy } from "../policy-oracle/manifests.js";
import { namesOf } from "../policy-oracle/names.js";
import { endsOf, type Packet } from "../policy-oracle/packet.js";
import { isDenied, loadSpecs, parseProbe, type Spec } from "../policy-oracle/spec.js";
import { inFamily, openSpec, takeStep } from "../policy-oracle/spec-cluster.js";

/** As people write it: without what the API server fills in. */
function withoutDefaults(policy: NetworkPolicy): unknown {
  const { policyTypes, ...spec } = policy.spec ?? {};
  const isDefault =
    policyTypes?.includes("Ingress") === true &&
    policyTypes.includes("Egress") === (spec.egress ?? []).length > 0;
  const text = JSON.stringify({ ...spec, ...(isDefault ? {} : { policyTypes }) });
  return { ...policy, spec: JSON.parse(text.replaceAll('"protocol":"TCP",', "")) as unknown };
}

/** The files of a cluster, read. Addresses of nodes are canonical, as the kubelet writes them. */
async function open({ namespaces, nodes, pods, ...policies }: Cluster): Promise<Explainer> {
  const canonical = (text: string) => {
    const address = readLooseAddress(text);
    return address === undefined ? text : formatAddress(address);
  };
  const items = [
    ...namespaces.map((one) => ({ apiVersion: "v1", kind: "Namespace", ...one })),
    ...nodes.map((one) => ({
      apiVersion: "v1",
      kind: "Node",
      ...one,
      status: {
        addresses: (one.status?.addresses ?? []).map(({ type, address }) => ({
          type,
          address: type === "Hostname" ? address : canonical(address),
        })),
      },
    })),
    ...pods.map((one) => ({ apiVersion: "v1", kind: "Pod", ...one })),
    ...policies.networkPolicies.map((one) => ({
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      ...(withoutDefaults(one) as object),
    })),
    ...policies.clusterNetworkPolicies.map((one) => ({
      apiVersion: "policy.networking.k8s.io/v1alpha2",
      kind: "ClusterNetworkPolicy",
      ...one,
    })),
  ];
  const text = JSON.stringify({ apiVersion: "v1", kind: "List", items });
  const { input, problems } = await readCluster(["-"], Readable.from([text]));
  assert.deepEqual(
    problems.filter(({ severity }) => severity === "error"),
    [],
  );
  return new Explainer(input);
}

async function differences(spec: Spec, family: Family): Promise<readonly string[]> {
  const wrong: string[] = [];
  let state = openSpec(spec);
  for (const [index, step] of spec.steps.entries()) {
    state = takeStep(state, step, family);
    const explainer = await open(state.cluster);
    const addresses = inFamily(state.addresses, family);
    const pods = [...addresses.keys()];
    for (const { probes, denied } of step.expect) {
      for (const probe of probes) {
        const [protocol, port] = parseProbe(probe);
        for (const source of pods) {
          for (const destination of pods.filter((pod) => pod !== source)) {
            const { walk } = explainer.explain(
              {
                protocol: protocol.toLowerCase(),
                source: podEnd(source, undefined),
                destination: podEnd(destination, String(port)),
              },
              { ipv6: family === 6 },
            );
            assert.deepEqual([walk.steps.length, walk.unasked], [2, []]);
            const expected = isDenied(denied, source, destination, addresses) ? "drop" : "pass";
            if (walk.verdict !== expected) {
              wrong.push(`step ${index + 1}: ${probe} ${source} -> ${destination}`);
            }
          }
        }
      }
    }
  }
  return wrong;
}

/** `xa` is pod a of namespace x. */
function podEnd(pod: string, port: string | undefined): EndWord {
  return { kind: "pod", word: pod, key: `${pod.slice(0, -1)}/${pod.slice(-1)}`, port };
}

for (const file of ["e2e", "cyclonus"] as const) {
  describe(`the tables of ${file}, explained from files without defaults`, () => {
    for (const spec of loadSpecs(file)) {
      it(`${spec.id}: ${spec.name}`, async () => {
        assert.deepEqual(await differences(spec, 4), []);
        if (file === "e2e") assert.deepEqual(await differences(spec, 6), []);
      });
    }
  });
}

test("random clusters are explained as the oracle judges them, and by the same names", async () => {
  let asked = 0;
  let refused = 0;
  for (let index = 0; index < 60; index++) {
    const { cluster, packets } = generateCase(5, index, 20);
    const explainer = await open(cluster);
    for (const packet of packets) {
      const ends = endsOf(cluster, packet);
      if (ends.source.pod === undefined && ends.destination.pod === undefined) continue;
      const { walk } = explain(explainer, cluster, packet);
      const about = `cluster ${index}: ${JSON.stringify(packet)}`;
      const { allowed, ...verdicts } = judge(cluster, packet);
      assert.equal(walk.verdict, allowed ? "pass" : "drop", about);
      for (const { direction, policy, rule } of walk.steps) {
        const names = namesOf(direction, verdicts[direction]);
        const plain = rule?.replace(/ \((in|e)gress\[\d+\]\)$/, "");
        assert.ok(
          names.length === 0
            ? policy === undefined || policy === "node"
            : names.some((name) => name.policy === policy && name.rule === plain),
          `${about}: ${direction} by ${policy} ${rule}`,
        );
      }
      asked++;
      if (!allowed) refused++;
    }
  }
  assert.ok(asked > 500 && refused > 100, `${asked} asked, ${refused} refused`);
});

function explain(explainer: Explainer, cluster: Cluster, packet: Packet): { readonly walk: Walk } {
  const { source, destination } = endsOf(cluster, packet);
  const { protocol, destinationPort, icmpType } = packet;
  const end = (address: typeof source.address, port: number | undefined): EndWord => ({
    kind: "address",
    word: addressText(address),
    address: addressText(address),
    family: address.family,
    port: port === undefined ? undefined : String(port),
  });
  return explainer.explain(
    {
      protocol: typeof protocol === "number" ? String(protocol) : protocol.toLowerCase(),
      source: end(source.address, undefined),
      destination: end(destination.address, destinationPort),
    },
    icmpType === undefined ? {} : { type: String(icmpType) },
  );
}
