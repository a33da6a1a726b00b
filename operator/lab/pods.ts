import { execFile } from "node:child_process";
import { renameSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { netnsPath } from "../../datapath/netns.js";
import { SluiceError } from "../errors.js";
import { nodeLabels } from "./agents.js";
import type { LabHost, Topology } from "./topology.js";

/** One pod: a network namespace that the node's plugin wires, as a container runtime would have it do. */
export interface LabPod {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly node: LabHost;
  /** As `ip netns` lists it. */
  readonly netns: string;
  readonly netnsPath: string;
}

/** Addresses that the plugin gave a pod. */
export interface PodAddresses {
  readonly ipv4: string;
  readonly ipv6: string;
}

const labels = { web: { app: "web" }, cart: { app: "cart" }, visitor: { app: "visitor" } } as const;

/** The pods of a lab; a plan only. Three nodes, numbered from 1. */
export function planPods(nodes: readonly LabHost[], prefix: string): readonly LabPod[] {
  const pod = (namespace: string, name: string, node: number, app: keyof typeof labels): LabPod => {
    const netns = `${prefix}-pod-${name}`;
    const host = nodes[node - 1];
    if (host === undefined) throw new RangeError(`there is no node ${node}`);
    const place = { netns, netnsPath: netnsPath(netns) };
    return { namespace, name, labels: labels[app], node: host, ...place };
  };
  return [
    pod("shop", "web-1", 1, "web"),
    pod("shop", "web-2", 2, "web"),
    pod("shop", "cart", 3, "cart"),
    pod("guest", "visitor", 1, "visitor"),
  ];
}

/**
 * Writes the nodes, namespaces and pods as an API server would tell of them.
 *
 * @param addresses of those pods that have been attached
 */
export function writeClusterObjects(
  path: string,
  { nodes, pods }: Topology,
  addresses: ReadonlyMap<LabPod, PodAddresses>,
): void {
  const namespaces = [...new Set(pods.map(({ namespace }) => namespace))];
  const items = [
    ...nodes.map((node, index) => nodeObject(node, index + 1)),
    ...namespaces.map((name) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } })),
    ...pods.map((pod) => podObject(pod, addresses.get(pod))),
  ];
  const text = JSON.stringify({ apiVersion: "v1", kind: "List", items }, undefined, 2);
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

function nodeObject(node: LabHost, number: number) {
  const { name, ipv4, ipv6 } = node;
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, labels: nodeLabels(node) },
    spec: { podCIDRs: [`10.244.${number}.0/24`, `fd00:244:${number}::/64`] },
    status: { addresses: [ipv4, ipv6].map((address) => ({ type: "InternalIP", address })) },
  };
}

function podObject(
  { namespace, name, labels: podLabels, node }: LabPod,
  addresses: PodAddresses | undefined,
) {
  const ports = podLabels["app"] === "web" ? [{ name: "http", containerPort: podWebPort }] : [];
  const podIPs = addresses && [{ ip: addresses.ipv4 }, { ip: addresses.ipv6 }];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace, name, labels: podLabels },
    spec: { nodeName: node.name, containers: [{ name, ports }] },
    ...(podIPs !== undefined && { status: { phase: "Running", podIPs } }),
  };
}

/** TCP port of the web server in each pod that has one. */
export const podWebPort = 8080;

/**
 * Has the plugin that a node's agent installed attach a pod.
 *
 * @throws SluiceError SLUICE_LAB_PROCESS with what the plugin answered
 */
export async function attachPod(binFolder: string, pod: LabPod): Promise<PodAddresses> {
  const { namespace, name, netns, netnsPath: path } = pod;
  const env = {
    CNI_COMMAND: "ADD",
    CNI_CONTAINERID: netns,
    CNI_NETNS: path,
    CNI_IFNAME: "eth0",
    CNI_PATH: binFolder,
    CNI_ARGS: `K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name}`,
  };
  try {
    const call = promisify(execFile)(`${binFolder}/sluice`, { env });
    call.child.stdin?.end(JSON.stringify({ cniVersion: "1.1.0", name: "sluice", type: "sluice" }));
    const { ips } = JSON.parse((await call).stdout) as { ips: readonly { address: string }[] };
    const [ipv4, ipv6] = ips.map(({ address }) => address.split("/", 1)[0] ?? "");
    return { ipv4: ipv4 ?? "", ipv6: ipv6 ?? "" };
  } catch (cause) {
    const { stdout, message } = cause as { readonly stdout?: string; readonly message: string };
    const why = stdout || message;
    throw new SluiceError("SLUICE_LAB_PROCESS", `${namespace}/${name} was not attached: ${why}`, {
      remedy: `Read the log of the agent of ${pod.node.name}`,
      cause,
    });
  }
}
