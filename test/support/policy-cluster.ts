/** A small cluster for compiling policies, written as manifests, and what its rules say of packets. */

import type { LocalPod } from "../../operator/compile/local-pods.js";
import {
  compilePodRules,
  type PodRules,
  type PodRulesInput,
} from "../../operator/compile/pod-rules.js";
import { PodRulesCache } from "../../operator/compile/pod-rules-cache.js";
import { Interner } from "../../operator/model/interner.js";
import { projectClusterObject } from "../../operator/model/project-cluster.js";
import type { CidrV4, CidrV6, NodeRecord } from "../../operator/model/records.js";
import type { ClusterRecord } from "../../operator/model/records-cluster.js";
import type { Labels, NamedPort, PodRecord } from "../../operator/model/records-pod.js";
import { parseCidr } from "../oracle/address.js";
import { walkRules, type WalkStep } from "../../operator/compile/rule-walk.js";

const ORIGIN = { source: "test" };
const interner = new Interner();

export interface TestPod {
  readonly labels?: Labels;
  /** Addresses; the default is none. */
  readonly ips?: readonly string[];
  readonly ports?: readonly NamedPort[];
  readonly isRemote?: boolean;
  readonly isHostNetwork?: boolean;
  readonly isCompleted?: boolean;
}

export interface TestCluster {
  /** By `NAMESPACE/NAME`. */
  readonly pods: Readonly<Record<string, TestPod>>;
  /** Labels; namespaces that are not named are not known. */
  readonly namespaces?: Readonly<Record<string, Labels>>;
  /** Labels and addresses. */
  readonly nodes?: Readonly<Record<string, readonly [Labels, ...string[]]>>;
  readonly own?: readonly string[];
  /** Manifests of both kinds. */
  readonly policies?: readonly object[];
}

/** A NetworkPolicy named `NAMESPACE/NAME`. */
export function networkPolicy(key: string, spec: object, mode?: "audit"): object {
  const [namespace, name] = key.split("/");
  return { kind: "NetworkPolicy", metadata: { namespace, name, ...annotated(mode) }, spec };
}

/** Tier Admin, priority 10, all pods of all namespaces, unless `spec` says otherwise. */
export function clusterPolicy(name: string, spec: object, mode?: "audit"): object {
  const all = { tier: "Admin", priority: 10, subject: { namespaces: {} } };
  return {
    kind: "ClusterNetworkPolicy",
    metadata: { name, ...annotated(mode) },
    spec: { ...all, ...spec },
  };
}

function annotated(mode: "audit" | undefined): object {
  return mode === undefined ? {} : { annotations: { "sluice.dev/mode": mode } };
}

/** Throws when a manifest is refused. */
export function read<K extends ClusterRecord["kind"]>(kind: K, manifest: object) {
  const { draft, problems } = projectClusterObject(kind, manifest, ORIGIN, interner);
  if (draft === undefined) throw new Error(`${kind} refused: ${JSON.stringify(problems)}`);
  return { ...draft, origin: ORIGIN, generation: 1 } as unknown as Extract<
    ClusterRecord,
    { kind: K }
  >;
}

export function podRecord(key: string, pod: TestPod): PodRecord {
  const [namespace = "", name = ""] = key.split("/");
  const cidrs = (pod.ips ?? []).map(parseCidr);
  const v6 = cidrs.find((cidr): cidr is CidrV6 => cidr.family === 6);
  return {
    kind: "Pod",
    namespace,
    name,
    origin: ORIGIN,
    uid: key,
    nodeName: pod.isRemote === true ? "there" : "here",
    labels: interner.labels(pod.labels ?? {}),
    ipv4: cidrs.find((cidr): cidr is CidrV4 => cidr.family === 4)?.address,
    ipv6: v6 && { high: v6.high, low: v6.low },
    isHostNetwork: pod.isHostNetwork ?? false,
    isCompleted: pod.isCompleted ?? false,
    namedPorts: pod.ports ?? [],
    ingressBitsPerSecond: undefined,
    egressBitsPerSecond: undefined,
    annotations: {},
  };
}

/** Slots of local pods are 1 and 2, 3 and 4, … in the order of `pods`. */
export function inputOf(cluster: TestCluster): PodRulesInput {
  const { pods, namespaces = {}, nodes = {}, own = [], policies = [] } = cluster;
  const records = new Map(Object.entries(pods).map(([key, pod]) => [key, podRecord(key, pod)]));
  const local = [...records].filter(([, { nodeName }]) => nodeName === "here");
  const isKind = (kind: string) => (one: object) => "kind" in one && one.kind === kind;
  return {
    localPods: local.map(([key, record], index): LocalPod => {
      return { key, record, slotIn: 2 * index + 1, slotOut: 2 * index + 2 };
    }),
    pods: records,
    namespaces: new Map(
      Object.entries(namespaces).map(([name, labels]) => [
        name,
        read("Namespace", { metadata: { name, labels } }),
      ]),
    ),
    nodes: Object.entries(nodes).map(([name, [labels, ...ips]]): NodeRecord => {
      const addresses = ips.map(parseCidr);
      return {
        kind: "Node",
        name,
        origin: ORIGIN,
        labels,
        addresses,
        internalAddresses: [],
        createdAtMs: 0,
        podCidrs: [],
        isLeaving: false,
      };
    }),
    ownAddresses: own.map(parseCidr),
    networkPolicies: policies
      .filter(isKind("NetworkPolicy"))
      .map((one) => read("NetworkPolicy", one)),
    clusterNetworkPolicies: policies
      .filter(isKind("ClusterNetworkPolicy"))
      .map((one) => read("ClusterNetworkPolicy", one)),
  };
}

export interface Outcome {
  /** `pass`, or `pass by POLICY, RULE`, or `drop by …`. */
  readonly egress: string;
  readonly ingress: string;
  /** Rules in audit mode that matched: `drop by POLICY, RULE`. */
  readonly audit: readonly string[];
}

/** Rules of one cluster, asked about packets. */
export class PolicyWorld {
  readonly input: PodRulesInput;
  readonly rules: PodRules;

  constructor(cluster: TestCluster | PodRulesInput, cache = new PodRulesCache()) {
    this.input = "localPods" in cluster ? cluster : inputOf(cluster);
    this.rules = compilePodRules(this.input, cache);
  }

  /**
   * What both directions say; a direction without a local pod says `pass`.
   *
   * @param from pod or address, as `to`
   * @param protocol `tcp 80`, `icmpv6 135`, or `protocol 47`
   */
  judge(from: string, to: string, protocol: string, family?: 4 | 6): Outcome {
    const sources = this.#addresses(from);
    const destinations = this.#addresses(to);
    const pair = sources
      .flatMap((source) => destinations.map((destination) => ({ source, destination })))
      .find(
        ({ source, destination }) =>
          source.family === destination.family && (family ?? source.family) === source.family,
      );
    if (pair === undefined) throw new Error(`${from} and ${to} have no family in common`);
    const { source, destination } = pair;
    const slots = {
      egress: this.input.localPods.find(({ key }) => key === from)?.slotOut,
      ingress: this.input.localPods.find(({ key }) => key === to)?.slotIn,
    };
    const audit: string[] = [];
    const verdictOf = (slot: number | undefined) => {
      if (slot === undefined) return "pass";
      const { verdict, by, steps } = walkRules(this.rules.rules, this.rules.contents, {
        slot,
        family: source.family,
        source: source.value,
        destination: destination.value,
        ...readProtocol(protocol),
      });
      audit.push(...steps.filter((step) => step.audit).map((step) => describe(step, step.action)));
      return by === undefined ? verdict : describe(by, verdict);
    };
    return { egress: verdictOf(slots.egress), ingress: verdictOf(slots.ingress), audit };
  }

  /** Whether both directions pass. */
  allows(from: string, to: string, protocol = "tcp 80", family?: 4 | 6): boolean {
    const { egress, ingress } = this.judge(from, to, protocol, family);
    return egress.startsWith("pass") && ingress.startsWith("pass");
  }

  #addresses(end: string): readonly { readonly family: 4 | 6; readonly value: bigint }[] {
    const pod = this.input.pods.get(end);
    if (pod === undefined) {
      const cidr = parseCidr(end);
      return [
        cidr.family === 4
          ? { family: 4, value: BigInt(cidr.address) }
          : { family: 6, value: (cidr.high << 64n) | cidr.low },
      ];
    }
    const { ipv4, ipv6 } = pod;
    return [
      ...(ipv4 === undefined ? [] : [{ family: 4 as const, value: BigInt(ipv4) }]),
      ...(ipv6 === undefined ? [] : [{ family: 6 as const, value: (ipv6.high << 64n) | ipv6.low }]),
    ];
  }
}

function describe({ policy, rule }: WalkStep, verdict: string): string {
  return `${verdict.toLowerCase()} by ${policy}, ${rule}`;
}

function readProtocol(text: string) {
  const [name = "", value = ""] = text.split(" ");
  const numbers: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 };
  const ported = numbers[name];
  if (ported !== undefined) return { protocol: ported, destinationPort: Number(value) };
  if (name === "icmp") return { protocol: 1, detail: Number(value) << 8 };
  if (name === "icmpv6") return { protocol: 58, detail: Number(value) << 8 };
  return { protocol: Number(value) };
}
