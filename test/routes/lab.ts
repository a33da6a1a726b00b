import assert from "node:assert/strict";
import { type Peer, startPeer } from "../lifecycle/peer-process.js";
import { eventually } from "../support/eventually.js";
import { type Lab, type Namespace, withNamespaces } from "../support/netns.js";
import { type NodeOptions, type RoutesNode, startNode } from "./node-process.js";
import { type NodeText, nodeText } from "./node-record.js";

export interface LabNode {
  readonly text: NodeText;
  readonly ns: Namespace;
  readonly routes: RoutesNode;
  /** Of the node itself, as a process of a pod with hostNetwork. */
  readonly peer: Peer;
  readonly pod: LabPod;
}

/** A pod without a program on its wire: routes and nothing else. */
export interface LabPod {
  readonly ns: Namespace;
  readonly peer: Peer;
  readonly ipv4: string;
  readonly ipv6: string;
}

export interface RoutesLab {
  /** 1 and 2 on one wire; 3 behind the router on a wire of its own. */
  readonly nodes: readonly [LabNode, LabNode, LabNode];
  readonly router: Namespace;
  /** On the wire of 1 and 2, and no node. */
  readonly outside: Namespace;
  readonly outsider: Peer;
  /** Starts the routes of all nodes, and tells each of all. */
  readonly start: (options?: Partial<NodeOptions>) => Promise<void>;
}

/** Bytes of payload of the wire behind the router. */
export const farMtu = 1400;

/**
 * Three nodes with a pod each, as the wires are:
 *
 *     node1 10.9.0.1 ──┐
 *     node2 10.9.0.2 ──┼── router 10.9.0.254 / 10.8.0.254 ──(farMtu)── node3 10.8.0.3
 *   outside 10.9.0.9 ──┘
 */
export async function withRoutesLab(body: (lab: RoutesLab) => Promise<void>): Promise<void> {
  await withNamespaces(async (lab) => {
    const router = lab.namespace("router");
    const outside = lab.namespace("outside");
    router.run("ip", "link", "add", "near", "type", "bridge");
    for (const address of ["10.9.0.254/24", "fd00:9::254/64"]) addAddress(router, "near", address);
    router.run("ip", "link", "set", "near", "up");
    const nodes = [1, 2, 3].map((number) => createNode(lab, router, number));
    connect(lab, router, outside, "p9", ["10.9.0.9/24", "fd00:9::9/64"]);
    for (const gateway of ["10.9.0.254", "fd00:9::254"]) {
      outside.run("ip", "route", "add", "default", "via", gateway);
    }
    forward(router);
    await body({
      nodes: nodes as unknown as RoutesLab["nodes"],
      router,
      outside,
      outsider: startPeer(lab, outside),
      async start(options = {}) {
        const all = nodes.map(({ text }) => text);
        await Promise.all(
          nodes.map(async ({ routes }) => {
            await routes.start(options);
            await routes.tell({ nodes: all, synced: true });
            await eventually(async () => assert.equal((await routes.state()).inSync, true));
          }),
        );
      },
    });
  });
}

function createNode(lab: Lab, router: Namespace, number: number): LabNode {
  const isFar = number === 3;
  const text = nodeText(number, isFar ? { addresses: ["10.8.0.3", "fd00:8::3"] } : {});
  const ns = lab.namespace(text.name);
  if (isFar) {
    lab.veth(
      { namespace: ns, name: "eth0", mtu: farMtu, addresses: ["10.8.0.3/24", "fd00:8::3/64"] },
      {
        namespace: router,
        name: "far",
        mtu: farMtu,
        addresses: ["10.8.0.254/24", "fd00:8::254/64"],
      },
    );
  } else {
    connect(lab, router, ns, `p${number}`, [`10.9.0.${number}/24`, `fd00:9::${number}/64`]);
  }
  const gateways = isFar ? ["10.8.0.254", "fd00:8::254"] : ["10.9.0.254", "fd00:9::254"];
  for (const gateway of gateways) ns.run("ip", "route", "add", "default", "via", gateway);
  forward(ns);
  /* What many distributions set: the answer must leave by the way that the question came. */
  for (const conf of ["all", "default", "eth0"]) {
    ns.run("sysctl", "-qw", `net.ipv4.conf.${conf}.rp_filter=1`);
  }
  return {
    text,
    ns,
    routes: startNode(lab, ns, text.name),
    peer: startPeer(lab, ns),
    pod: createPod(lab, ns, number),
  };
}

function createPod(lab: Lab, node: Namespace, number: number): LabPod {
  const ns = lab.namespace(`pod${number}`);
  const [ipv4, ipv6] = [`10.244.${number}.9`, `fd00:244:${number}::9`];
  const name = `slc0000000000${number}`;
  lab.veth({ namespace: node, name }, { namespace: ns, name: "eth0" });
  node.run("ip", "route", "add", ipv4, "dev", name);
  node.run("ip", "route", "add", ipv6, "dev", name);
  ns.run("ip", "address", "add", `${ipv4}/32`, "dev", "eth0");
  ns.run("ip", "address", "add", `${ipv6}/128`, "dev", "eth0", "nodad");
  ns.run("ip", "address", "add", "fe80::99/64", "dev", "eth0", "nodad");
  node.run("ip", "address", "add", "169.254.1.1/32", "dev", name, "scope", "link");
  node.run("ip", "address", "add", "fe80::1/64", "dev", name, "nodad");
  ns.run("ip", "route", "add", "default", "via", "169.254.1.1", "dev", "eth0", "onlink");
  ns.run("ip", "route", "add", "default", "via", "fe80::1", "dev", "eth0");
  return { ns, ipv4, ipv6, peer: startPeer(lab, ns) };
}

function connect(
  lab: Lab,
  router: Namespace,
  ns: Namespace,
  port: string,
  addresses: readonly string[],
): void {
  lab.veth({ namespace: ns, name: "eth0", addresses }, { namespace: router, name: port });
  router.run("ip", "link", "set", port, "master", "near");
}

function addAddress(ns: Namespace, device: string, address: string): void {
  const nodad = address.includes(":") ? ["nodad"] : [];
  ns.run("ip", "address", "add", address, "dev", device, ...nodad);
}

function forward(ns: Namespace): void {
  ns.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
}
