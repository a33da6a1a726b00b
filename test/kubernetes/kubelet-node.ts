import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { agentCapabilities, podNetworkCapabilities } from "../../operator/health/capabilities.js";
import { type Peer, startPeer } from "../lifecycle/peer-process.js";
import { type Agent, nodeAddress } from "../lifecycle/world.js";
import type { Cluster } from "../support/cluster/cluster.js";
import { eventually } from "../support/eventually.js";
import { withNamespaces } from "../support/netns.js";
import { createCgroup } from "../support/runtime/cgroups.js";
import { type Containerd, startContainerd } from "../support/runtime/containerd.js";
import { imageName } from "../support/runtime/image.js";
import { startMachine } from "../support/runtime/machine.js";
import { type RealKubelet, startRealKubelet } from "../support/runtime/real-kubelet.js";
import { type PodNode, withCapabilities, withPodNode } from "./pods.js";

const nodeName = "node1";
/** Of Debian's containernetworking-plugins: containerd makes the loopback of a pod by it. */
const loopbackPlugin = "/usr/lib/cni/loopback";
const podPatienceMs = 30_000;

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly message?: string;
}

export interface PodObject {
  readonly metadata: { readonly uid: string };
  readonly status: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly conditions?: readonly Condition[];
    readonly containerStatuses?: readonly { readonly containerID?: string }[];
  };
}

export interface PodText {
  readonly labels?: Readonly<Record<string, string>>;
  /** Of the program in the image. */
  readonly args: readonly string[];
  /** Ready when it answers here. */
  readonly readyPort?: number;
  readonly more?: object;
}

/** A pod of this node as a user writes it. */
export function podManifest(
  name: string,
  { labels = {}, args, readyPort, more = {} }: PodText,
): object {
  const readinessProbe = { tcpSocket: { port: readyPort }, periodSeconds: 1 };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "web", labels },
    spec: {
      nodeName,
      automountServiceAccountToken: false,
      dnsPolicy: "Default",
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: "main",
          image: imageName,
          imagePullPolicy: "Never",
          args,
          ...(readyPort !== undefined && { readinessProbe }),
        },
      ],
      ...more,
    },
  };
}

/** A node that pods are run on as anywhere: by a kubelet and containerd. */
export interface KubeletNode extends PodNode {
  readonly containerd: Containerd;
  readonly kubelet: RealKubelet;
  readonly startAgentInMachine: () => Agent;
  readonly apply: (...objects: readonly (object | string)[]) => Promise<void>;
  readonly deleteObjects: (...words: readonly string[]) => Promise<void>;
  readonly pod: (name: string) => Promise<PodObject>;
  readonly nodeCondition: (type: string) => Promise<Condition | undefined>;
  /** Waits until the kubelet has found a pod ready. */
  readonly untilReady: (name: string) => Promise<PodObject>;
  readonly untilPhase: (name: string, phase: string) => Promise<PodObject>;
  /** A process in the network of a running pod. */
  readonly peerOf: (name: string) => Promise<Peer>;
  /** Network namespaces that containerd has made for pods. */
  readonly podNetworks: () => readonly string[];
}

/** Runtime and kubelet run, the agent does not yet. All that they start ends with the test, however it ends. */
export async function withKubeletNode(
  body: (node: KubeletNode) => Promise<void>,
  cluster: Cluster,
): Promise<void> {
  await withPodNode(async (node) => {
    await withNamespaces(async (lab) => {
      const folder = join(node.folder, "machine");
      const { binFolder, configFolder } = node;
      for (const made of [folder, binFolder]) mkdirSync(made);
      copyFileSync(loopbackPlugin, join(binFolder, "loopback"));
      const cgroup = createCgroup(lab);
      const machine = await startMachine(lab, node.node, folder);
      const containerd = await startContainerd(machine, { folder, binFolder, configFolder });
      const apiServer = node.tunnel.endpoint;
      const kubelet = startRealKubelet(machine, cluster, {
        folder,
        nodeName,
        nodeAddress,
        apiServer,
        cgroup,
      });
      const pod = (name: string) => cluster.get<PodObject>(`/api/v1/namespaces/web/pods/${name}`);
      const until = async (name: string, holds: (found: PodObject) => void) => {
        let found: PodObject | undefined;
        await eventually(async () => {
          found = await pod(name);
          holds(found);
        }, podPatienceMs);
        return found!;
      };
      const kubeletNode: KubeletNode = {
        ...node,
        containerd,
        kubelet,
        startAgentInMachine: () =>
          node.startPods({
            wrapper: [
              ...machine.withMounts,
              ...withCapabilities([...agentCapabilities, ...podNetworkCapabilities]),
            ],
          }),
        async apply(...objects) {
          const texts = objects.map((object) =>
            typeof object === "string" ? object : JSON.stringify(object),
          );
          await cluster.kubectl(["apply", "-f", "-"], { input: texts.join("\n---\n") });
        },
        async deleteObjects(...words) {
          await cluster.kubectl(["delete", "-n", "web", ...words]);
        },
        pod,
        async nodeCondition(type) {
          const path = `/api/v1/nodes/${nodeName}`;
          const { status } = await cluster.get<{
            readonly status: { readonly conditions?: readonly Condition[] };
          }>(path);
          return status.conditions?.find((condition) => condition.type === type);
        },
        untilReady: (name) =>
          until(name, ({ status }) => {
            const ready = status.conditions?.find(({ type }) => type === "Ready");
            assert.equal(ready?.status, "True", `${name}: ${JSON.stringify(status)}`);
          }),
        untilPhase: (name, phase) =>
          until(name, ({ status }) => {
            assert.equal(status.phase, phase, `${name}: ${JSON.stringify(status)}`);
          }),
        async peerOf(name) {
          const { status } = await pod(name);
          const id = status.containerStatuses?.[0]?.containerID?.replace("containerd://", "");
          return startPeer(lab, { path: await containerd.networkOf(id ?? "") });
        },
        podNetworks: () => readdirSync(machine.path("/run/netns")),
      };
      try {
        await body(kubeletNode);
      } catch (error) {
        console.error(kubelet.process.log());
        console.error(containerd.process.log());
        throw error;
      }
    });
  }, cluster);
}
