/** The cluster of a spec, as manifests: for judging its steps without any cluster. */

import { type Address, type Family, parseAddress } from "./address.js";
import { type Cluster, keyOf, type Namespace, type Node, type Pod } from "./manifests.js";
import {
  type PodAddresses,
  resolvePolicy,
  SPEC_PORTS,
  SPEC_PROTOCOLS,
  type Spec,
  type SpecStep,
  splitPod,
} from "./spec.js";

/** What a spec's steps have led to. */
export interface SpecState {
  readonly cluster: Cluster;
  /** Of the pods that exist now. */
  readonly addresses: PodAddresses;
}

export function openSpec(spec: Spec): SpecState {
  const names = [...new Set(spec.pods.map((pod) => splitPod(pod)[0]))];
  const empty: SpecState = {
    cluster: {
      namespaces: names.map((name) => namespaceOf(name, { ns: name })),
      nodes: [1, 2, 3].map(nodeOf),
      pods: [],
      networkPolicies: [],
      clusterNetworkPolicies: [],
    },
    addresses: new Map(),
  };
  return spec.pods.reduce(addPod, empty);
}

export function takeStep(state: SpecState, step: SpecStep, family: Family): SpecState {
  const created = Object.entries(step.createNamespaces ?? {});
  const namespaces = [
    ...state.cluster.namespaces,
    ...created.map(([name, labels]) => namespaceOf(name, labels)),
  ]
    .filter(({ metadata }) => !(step.deleteNamespaces ?? []).includes(metadata.name))
    .map((namespace) => relabel(namespace, step.labelNamespaces?.[namespace.metadata.name]));
  const { cluster, addresses } = (step.createPods ?? []).reduce(addPod, state);
  const pods = cluster.pods
    .filter(({ metadata }) => namespaces.some((n) => n.metadata.name === metadata.namespace))
    .filter((pod) => !(step.deletePods ?? []).includes(shortName(pod)))
    .map((pod) => relabel(pod, step.labelPods?.[shortName(pod)]));
  const left = new Map(
    [...addresses].filter(([name]) => pods.some((pod) => shortName(pod) === name)),
  );
  const applied = (step.apply ?? []).map((policy) =>
    resolvePolicy(policy, inFamily(left, family), family),
  );
  const gone = [...applied.map(keyOf), ...(step.deletePolicies ?? [])];
  const networkPolicies = [
    ...cluster.networkPolicies.filter((policy) => !gone.includes(keyOf(policy))),
    ...applied,
  ];
  return { cluster: { ...cluster, namespaces, pods, networkPolicies }, addresses: left };
}

/** Pods are dual-stack; `addresses` has the IPv4 ones, the IPv6 ones have the same last bits. */
export function inFamily(addresses: PodAddresses, family: Family): PodAddresses {
  return new Map(
    [...addresses].map(([pod, address]): [string, Address] => [
      pod,
      family === 4 ? address : ipv6Beside(address),
    ]),
  );
}

export function shortName({ metadata }: Pod): string {
  return `${metadata.namespace ?? "default"}${metadata.name}`;
}

/** Pods a on node 1, b on 2, c on 3, d on 1: each node's are in a /24, those of z in a /28 of their own. */
function addPod({ cluster, addresses }: SpecState, pod: string): SpecState {
  const [namespace, name] = splitPod(pod);
  const place = "abcd".indexOf(name);
  const node = (place % 3) + 1;
  const host = ({ x: 17, y: 18, z: 33 }[namespace] ?? 19) + (place === 3 ? 3 : 0);
  const address = parseAddress(`10.244.${node}.${host}`);
  const made: Pod = {
    metadata: { name, namespace, labels: { pod: name } },
    spec: {
      nodeName: `node-${node}`,
      containers: SPEC_PROTOCOLS.flatMap((protocol) =>
        SPEC_PORTS.map((port) => {
          const served = `serve-${port}-${protocol.toLowerCase()}`;
          return { name: served, ports: [{ name: served, containerPort: port, protocol }] };
        }),
      ),
    },
    status: {
      phase: "Running",
      podIPs: [{ ip: `10.244.${node}.${host}` }, { ip: `fd00:244::${node}${host}` }],
    },
  };
  return {
    cluster: { ...cluster, pods: [...cluster.pods, made] },
    addresses: new Map([...addresses, [pod, address]]),
  };
}

function ipv6Beside({ value }: Address): Address {
  const host = value & 0xffn;
  return parseAddress(`fd00:244::${(value >> 8n) & 0xffn}${host}`);
}

function namespaceOf(name: string, labels: Readonly<Record<string, string>>): Namespace {
  return { metadata: { name, labels } };
}

function nodeOf(number: number): Node {
  return {
    metadata: { name: `node-${number}` },
    status: { addresses: [{ type: "InternalIP", address: `192.168.0.${number}` }] },
  };
}

function relabel<T extends Namespace | Pod>(
  object: T,
  changes: Readonly<Record<string, string | null>> = {},
): T {
  const labels = Object.entries({ ...object.metadata.labels, ...changes }).filter(
    ([, value]) => value !== null,
  );
  return { ...object, metadata: { ...object.metadata, labels: Object.fromEntries(labels) } };
}
