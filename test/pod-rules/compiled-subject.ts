/** The compiled rules of pods as what the oracle is compared with. */

import type { LocalPod } from "../../operator/compile/local-pods.js";
import {
  compilePodRules,
  type PodRules,
  type PodRulesInput,
} from "../../operator/compile/pod-rules.js";
import { PodRulesCache } from "../../operator/compile/pod-rules-cache.js";
import { formatAddress } from "../../operator/model/cidr-format.js";
import type { Finding } from "../../operator/model/finding.js";
import { Interner } from "../../operator/model/interner.js";
import { readLooseCidr } from "../../operator/model/loose-cidr.js";
import { projectClusterObject } from "../../operator/model/project-cluster.js";
import { projectNode } from "../../operator/model/project-node.js";
import type { Projection } from "../../operator/model/projection.js";
import type { NodeRecord } from "../../operator/model/records.js";
import type { ClusterRecord } from "../../operator/model/records-cluster.js";
import { walkRules } from "../../operator/compile/rule-walk.js";
import { type Address, isSameAddress } from "../policy-oracle/address.js";
import { type Cluster, keyOf, type Node } from "../policy-oracle/manifests.js";
import { endsOf, localPods, nodeAddresses, type Packet } from "../policy-oracle/packet.js";
import type { PolicyAnswer, PolicySubject } from "../policy-oracle/subject.js";

const NUMBERS = { TCP: 6, UDP: 17, SCTP: 132, ICMP: 1, ICMPv6: 58 } as const;

/** Compiles like an agent: one cache for all clusters. */
export class CompiledSubject implements PolicySubject {
  readonly #interner = new Interner();
  readonly #cache = new PodRulesCache();
  #cluster: Cluster | undefined;
  #node = "";
  #slots = new Map<string, LocalPod>();
  #rules: PodRules | undefined;

  /** Input of the last load. */
  input: PodRulesInput | undefined;

  get rules(): PodRules {
    if (this.#rules === undefined) throw new Error("judge was called before load");
    return this.#rules;
  }

  load(cluster: Cluster, node: string): Promise<void> {
    const pods = new Map(cluster.pods.map((pod) => [keyOf(pod), this.#read("Pod", pod)]));
    const local = [...pods]
      .filter(([, { nodeName }]) => nodeName === node)
      .map(([key, record], index) => ({
        key,
        slotIn: 2 * index + 1,
        slotOut: 2 * index + 2,
        record,
      }));
    this.#slots = new Map(local.map((pod) => [pod.key, pod]));
    const nodes = cluster.nodes.map((one) => this.#readNode(one));
    this.input = {
      localPods: local,
      pods,
      namespaces: new Map(
        cluster.namespaces.map((one) => [one.metadata.name, this.#read("Namespace", one)]),
      ),
      nodes,
      ownAddresses: nodes.find(({ name }) => name === node)?.addresses ?? [],
      networkPolicies: cluster.networkPolicies.map((one) => this.#read("NetworkPolicy", one)),
      clusterNetworkPolicies: cluster.clusterNetworkPolicies.map((one) =>
        this.#read("ClusterNetworkPolicy", one),
      ),
    };
    this.#rules = compilePodRules(this.input, this.#cache);
    this.#cluster = cluster;
    this.#node = node;
    return Promise.resolve();
  }

  /** As the pods' programs do around the rules. */
  judge(packet: Packet): PolicyAnswer {
    const { source, destination } = endsOf(this.#cluster!, packet);
    if (isSameAddress(source.address, destination.address)) return { allowed: true };
    const local = localPods(this.#cluster!, this.#node);
    let decided: PolicyAnswer | undefined;
    for (const [end, direction] of [
      [source, "egress"],
      [destination, "ingress"],
    ] as const) {
      if (end.pod === undefined || !local.includes(end.pod)) continue;
      // The kernel knows what the node itself sends.
      if (direction === "ingress" && this.#isOwnNode(source.address)) continue;
      const pod = this.#slots.get(keyOf(end.pod))!;
      const slot = direction === "egress" ? pod.slotOut : pod.slotIn;
      const answer = this.#walk(packet, slot);
      if (!answer.allowed) return answer;
      decided ??= answer.policy === undefined ? undefined : answer;
    }
    return decided ?? { allowed: true };
  }

  #walk(packet: Packet, slot: number): PolicyAnswer {
    const { source, destination } = endsOf(this.#cluster!, packet);
    const { protocol, destinationPort, icmpType } = packet;
    const { rules, contents, fullNames } = this.rules;
    const { verdict, by } = walkRules(rules, contents, {
      slot,
      family: source.address.family,
      source: source.address.value,
      destination: destination.address.value,
      protocol: typeof protocol === "number" ? protocol : NUMBERS[protocol],
      ...(destinationPort !== undefined && { destinationPort }),
      ...(icmpType !== undefined && { detail: icmpType << 8 }),
    });
    if (by === undefined) return { allowed: true };
    return { allowed: verdict === "pass", ...writtenNames(by, fullNames) };
  }

  #isOwnNode(address: Address): boolean {
    const own = this.#cluster!.nodes.find(({ metadata }) => metadata.name === this.#node);
    return own !== undefined && nodeAddresses(own).some((one) => isSameAddress(one, address));
  }

  #read<K extends ClusterRecord["kind"]>(kind: K, manifest: object) {
    const origin = { source: "test" };
    const { draft, problems } = projectClusterObject(kind, manifest, origin, this.#interner);
    if (draft === undefined) throw new Error(`${kind} refused: ${JSON.stringify(problems)}`);
    return { ...draft, origin, generation: 1 } as unknown as Extract<ClusterRecord, { kind: K }>;
  }

  #readNode(node: Node): NodeRecord {
    const findings: Finding[] = [];
    // The kubelet writes canonical texts, the generators do not.
    const addresses = (node.status?.addresses ?? []).map(({ type, address }) => ({
      type,
      address: type === "Hostname" ? address : canonical(address),
    }));
    const draft = projectNode({ ...node, status: { addresses } }, { findings } as Projection);
    if (findings.length > 0) throw new Error(`Node refused: ${JSON.stringify(findings)}`);
    return { ...draft, origin: { source: "test" } };
  }
}

/** The names as they are written in the policy. */
export function writtenNames(
  { policy, rule }: { readonly policy: string; readonly rule: string },
  fullNames: PodRules["fullNames"],
): Required<Pick<PolicyAnswer, "policy" | "rule">> {
  const full = (name: string) => fullNames.get(name) ?? name;
  // A name that its policy has twice is marked with its place.
  return { policy: full(policy), rule: full(rule).replace(/ \((in|e)gress\[\d+\]\)$/, "") };
}

function canonical(address: string): string {
  const cidr = readLooseCidr(`${address}/${address.includes(":") ? 128 : 32}`);
  return cidr === undefined ? address : formatAddress(cidr);
}
