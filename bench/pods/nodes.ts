import { execFileSync } from "node:child_process";
import { netnsPath, withNetns } from "../../datapath/index.js";
import { type Attachment, hostNameOf, macOf } from "../../operator/cni/attachment.js";
import { kernelPodLinks } from "../../operator/cni/kernel-pod-links.js";
import { makeNamespace } from "../cleanup.js";

export const uplink = "eth0";
/** Bytes that a packet has less room by. */
const tunnelBytes = 50;
const wireMtu = 1500;

/** How nodes reach each other's pods. */
export type Routing = "direct" | "vxlan";

export interface BenchNode {
  readonly name: string;
  /** Of its own among the namespaces of this process. */
  readonly label: string;
  /** Of the network. */
  readonly namespace: string;
  readonly address: string;
  readonly podCidrs: readonly string[];
}

/** A pod's network namespace, and its address. */
export interface Place {
  readonly namespace: string;
  readonly address: string;
}

/** Two nodes on a wire. */
export function makeNodes(label: string): readonly [BenchNode, BenchNode] {
  const [first, second] = [1, 2].map((number): BenchNode => {
    return {
      name: `node${number}`,
      label: `${label}${number}`,
      namespace: makeNamespace(`${label}${number}`),
      address: `10.9.0.${number}`,
      podCidrs: [`10.244.${number}.0/24`],
    };
  }) as [BenchNode, BenchNode];
  const end = ({ namespace }: BenchNode) => ["name", uplink, "netns", namespace];
  ip("link", "add", ...end(first), "type", "veth", "peer", ...end(second));
  for (const { namespace, address } of [first, second]) {
    ip("-n", namespace, "address", "add", `${address}/24`, "dev", uplink);
    ip("-n", namespace, "link", "set", uplink, "up");
  }
  return [first, second];
}

/** Has the kernel route between the pods of two nodes, as a network without policies does. */
export function routeBetween(nodes: readonly [BenchNode, BenchNode], routing: Routing): void {
  for (const [own, other] of [nodes, [nodes[1], nodes[0]]] as const) {
    const inside = ["-n", own.namespace];
    sysctl(own.namespace, "net.ipv4.ip_forward=1");
    if (routing === "vxlan") {
      const ends = ["local", own.address, "remote", other.address];
      const vxlan = ["type", "vxlan", "id", "1", "dstport", "4789", ...ends];
      const mtu = ["mtu", `${wireMtu - tunnelBytes}`];
      ip(...inside, "link", "add", "vxlan0", ...mtu, ...vxlan);
      ip(...inside, "address", "add", `${tunnelAddress(own)}/24`, "dev", "vxlan0");
      ip(...inside, "link", "set", "vxlan0", "up");
    }
    const gateway = routing === "vxlan" ? tunnelAddress(other) : other.address;
    ip(...inside, "route", "add", other.podCidrs[0]!, "via", gateway);
  }
}

function tunnelAddress({ address }: BenchNode): string {
  return address.replace("10.9.0.", "10.9.9.");
}

/** A pod with the same veth, addresses and routes that Sluice gives, and no program on it. */
export function makeRoutedPod(
  node: BenchNode,
  name: string,
  last: number,
  routing: Routing,
): Place {
  const namespace = makeNamespace(`${node.label}-${name}`);
  const id = { containerId: name, ifName: "eth0" };
  const address = node.podCidrs[0]!.replace("0/24", `${last}`);
  const attachment: Attachment = {
    ...id,
    network: "bench",
    netns: netnsPath(namespace),
    hostName: hostNameOf(id),
    mac: macOf(id),
    mtu: routing === "vxlan" ? wireMtu - tunnelBytes : wireMtu,
    addresses: { ipv4: address, ipv6: undefined },
    pod: { namespace: undefined, name: undefined, uid: undefined },
  };
  const links = kernelPodLinks();
  withNetns(netnsPath(node.namespace), () => {
    links.create(attachment);
    links.activate(attachment);
  });
  return { namespace, address };
}

function sysctl(namespace: string, setting: string): void {
  execFileSync("nsenter", [`--net=${netnsPath(namespace)}`, "sysctl", "-q", "-w", setting]);
}

function ip(...words: readonly string[]): void {
  execFileSync("ip", words);
}
