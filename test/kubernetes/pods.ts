import assert from "node:assert/strict";
import { join } from "node:path";
import type { RuleState } from "../../operator/api/engine.js";
import {
  type AgentCapability,
  agentCapabilities,
  podNetworkCapabilities,
} from "../../operator/health/capabilities.js";
import { runShim, type ShimAnswer } from "../cni/node.js";
import { type Peer, startPeer } from "../lifecycle/peer-process.js";
import type { Agent, AgentOptions } from "../lifecycle/world.js";
import type { Cluster } from "../support/cluster/cluster.js";
import { installChart } from "../support/cluster/install.js";
import { eventually } from "../support/eventually.js";
import { type Lab, type Namespace, withNamespaces } from "../support/netns.js";
import { type ClusterNode, withNodes } from "./node.js";

export interface PodSpec {
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  /** Makes the object the mirror of a static pod, which has this uid for the runtime. */
  readonly staticUid?: string;
  /** Runs what shall listen before the pod has a network. */
  readonly before?: (peer: Peer) => Promise<void>;
  /** Fields of the network configuration that the runtime adds. */
  readonly config?: object;
}

/** A pod that runs: an object at the API server, a network namespace, and a process in it. */
export interface RunningPod {
  readonly key: string;
  readonly uid: string;
  readonly containerId: string;
  readonly netns: Namespace;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly peer: Peer;
}

/** A node whose agent gives pods their network. */
export interface PodNode extends ClusterNode {
  readonly binFolder: string;
  readonly configFolder: string;
  readonly startPods: (options?: AgentOptions) => Agent;
  /** As a kubelet starts a pod: the object is there, the runtime attaches it, its addresses are told. */
  readonly runPod: (name: string, spec?: PodSpec) => Promise<RunningPod>;
  /** As a kubelet ends it. */
  readonly endPod: (pod: RunningPod) => Promise<void>;
  readonly shim: (
    verb: "ADD" | "DEL" | "CHECK",
    pod: RunningPod,
    more?: object,
  ) => Promise<ShimAnswer>;
  /** A rule that judges pods; all zero while it is not in force. */
  readonly podRule: (policy: string, rule: string) => Promise<RuleState | undefined>;
}

const none = "/dev/null";

/** A real API server with the chart installed for a pod network, and a node of the name `node1`. */
export async function withPodNode(
  body: (node: PodNode) => Promise<void>,
  cluster: Cluster,
): Promise<void> {
  const installed = await installChart(cluster, "podNetwork.enabled=true");
  await cluster.createNode("node1", {
    addresses: ["10.9.0.1"],
    podCIDRs: ["10.244.1.0/24", "fd00:244:1::/64"],
  });
  await withNodes(cluster, installed, async ({ node }) => {
    await withNamespaces(async (lab) => body(createPodNode(lab, await node("node1"))));
  });
}

export function createPodNode(lab: Lab, node: ClusterNode, nodeName = "node1"): PodNode {
  const { cluster, folder } = node;
  const binFolder = join(folder, "bin");
  const configFolder = join(folder, "net.d");
  let count = 0;

  const podsOf = (namespace: string) => `/api/v1/namespaces/${namespace}/pods`;
  const call = (verb: "ADD" | "DEL" | "CHECK", pod: PodCall, more: object = {}) => {
    const [namespace, name] = pod.key.split("/");
    return runShim(
      { binFolder },
      {
        command: verb,
        containerId: pod.containerId,
        netns: pod.netns.name,
        args: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_UID=${pod.uid}`,
        config: more,
      },
    );
  };

  return {
    ...node,
    binFolder,
    configFolder,
    startPods: (options = {}) =>
      node.startAgent({
        wrapper: withCapabilities([...agentCapabilities, ...podNetworkCapabilities]),
        ...options,
        flags: {
          "pod-network": "true",
          "cni-bin-dir": binFolder,
          "cni-conf-dir": configFolder,
          ...options.flags,
        },
      }),
    async runPod(name, spec = {}) {
      const { namespace = "web", labels = {}, ports = [], staticUid, before, config } = spec;
      const annotations = staticUid && {
        "kubernetes.io/config.source": "file",
        "kubernetes.io/config.hash": staticUid,
        "kubernetes.io/config.mirror": staticUid,
      };
      const { metadata } = await cluster.request<{ metadata: { uid: string } }>({
        method: "POST",
        path: podsOf(namespace),
        body: {
          metadata: { name, labels, ...(annotations && { annotations }) },
          spec: {
            nodeName,
            automountServiceAccountToken: false,
            containers: [{ name: "main", image: none, ports }],
          },
        },
      });
      const netns = lab.namespace(name);
      const peer = startPeer(lab, netns);
      await before?.(peer);
      const containerId = `container-${++count}`;
      const uid = staticUid ?? metadata.uid;
      const pod = { key: `${namespace}/${name}`, uid, containerId, netns };
      const { exitCode, result } = await call("ADD", pod, config);
      assert.equal(exitCode, 0, JSON.stringify(result));
      const ips = (result?.ips ?? []).map(({ address }) => address.replace(/\/.*/, ""));
      await cluster.request({
        method: "PATCH",
        path: `${podsOf(namespace)}/${name}/status`,
        contentType: "application/merge-patch+json",
        body: { status: { phase: "Running", podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) } },
      });
      const [ipv4 = "", ipv6 = ""] = ips;
      return { ...pod, ipv4, ipv6, peer };
    },
    async endPod(pod) {
      const [namespace = "", name = ""] = pod.key.split("/");
      assert.equal((await call("DEL", pod)).exitCode, 0);
      await cluster.request({
        method: "DELETE",
        path: `${podsOf(namespace)}/${name}?gracePeriodSeconds=0`,
      });
    },
    shim: call,
    async podRule(policy, rule) {
      const rules = await node.api.call("podRules");
      return rules.find((row) => row.policy === policy && row.rule === rule);
    },
  };
}

/** Words in front of a command that leave it these capabilities, as the chart gives them to its container. */
export function withCapabilities(capabilities: readonly AgentCapability[]): readonly string[] {
  const words = capabilities.map(({ name }) => `+${name.slice(4).toLowerCase()}`);
  const set = ["-all", ...words].join(",");
  return ["setpriv", "--no-new-privs", `--bounding-set=${set}`, `--inh-caps=${set}`];
}

type PodCall = Pick<RunningPod, "key" | "uid" | "containerId" | "netns">;

/** Makes a namespace that pods can be in. */
export async function createNamespace(
  cluster: Cluster,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<void> {
  await cluster.apply([
    { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } },
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default", namespace: name } },
  ]);
}

/** Opens a connection. */
export async function connects(from: Peer, to: string, port: number): Promise<void> {
  assert.equal(await from.call("tryTcp", { to, port, timeoutMs: 5000 }), "open", `${to} ${port}`);
}

/** Tries until a connection is not answered, and the rule has counted it. */
export async function isDropped(
  node: PodNode,
  [policy, rule]: readonly [policy: string, rule: string],
  from: Peer,
  to: string,
  port: number,
): Promise<void> {
  await eventually(async () => {
    const before = await node.podRule(policy, rule);
    assert.ok(before, `${policy}, ${rule} is in force`);
    assert.equal(await from.call("tryTcp", { to, port, timeoutMs: 200 }), "silent");
    const after = await node.podRule(policy, rule);
    assert.ok((after?.matched.packets ?? 0) > before.matched.packets, `${policy}, ${rule} counts`);
  });
}
