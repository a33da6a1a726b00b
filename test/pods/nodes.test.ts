/** Pods on two nodes and a client outside of them, with real sockets: between nodes, and by ports of a node (docs/pods.md). */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { attachTc, defaultBpffs, type IfIndex, type Program } from "../../datapath/index.js";
import { HostPorts } from "../../operator/apply/host-ports.js";
import { PodRoutes } from "../../operator/apply/pod-routes.js";
import { parseCidr } from "../../operator/model/cidr.js";
import { type Peer, startPeer } from "../lifecycle/peer-process.js";
import { type Lab, type Namespace, withNamespaces } from "../support/netns.js";
import { counter4, counter6 } from "../support/snmp.js";
import { GATEWAY_MAC, openPods, type Pods } from "./harness.js";

const PORT = 8080;
const HOST_PORT = 80;
const SILENCE_MS = 700;
const ANSWER_MS = 20_000;
const GATEWAY = { 4: "169.254.1.1", 6: "fe80::1" } as const;
type Family = 4 | 6;
type Mode = "direct" | "vxlan";

/** Addresses on the wire: two nodes, and a client. */
const onWire = (number: number, family: Family) =>
  family === 4 ? `192.0.2.${number}` : `2001:db8::${number}`;
const CLIENT = 9;
const podAddress = (node: number, pod: number, family: Family) =>
  family === 4 ? `10.${node}.0.${pod}` : `fd00:${node}::${pod}`;
const podRange = (node: number, family: Family) =>
  family === 4 ? `10.${node}.0.0/24` : `fd00:${node}::/64`;
const podMac = (node: number, pod: number) => `02:00:00:00:0${node}:0${pod}`;

interface Node {
  readonly number: number;
  readonly namespace: Namespace;
  readonly pods: Pods;
  /** Sockets in the pods 1 and 2. */
  readonly peers: readonly [Peer, Peer];
}

interface World {
  readonly nodes: readonly [Node, Node];
  readonly client: Peer;
  /** On the first node. */
  readonly program: Peer;
}

for (const mode of ["direct", "vxlan"] as const) {
  test(`pods on two nodes, ${mode}`, async (context) => {
    await withNamespaces(async (lab) => {
      const world = await setUp(lab, mode);
      for (const family of [4, 6] as const) {
        await context.test(`IPv${family}`, (inner) => between(inner, world, family));
      }
    });
  });
}

async function between(context: TestContext, world: World, family: Family): Promise<void> {
  const [one, two] = world.nodes;
  const [a, a2] = one.peers;
  const [b] = two.peers;
  const ask = (
    peer: Peer,
    to: string,
    port: number,
    { protocol = "tcp", timeoutMs = ANSWER_MS, ...asked }: Asked = {},
  ) => peer.call("askWho", { protocol, to, port, timeoutMs, ...asked });
  const forwarded = () =>
    world.nodes.map(({ namespace }) =>
      family === 4
        ? counter4(namespace, "Ip", "ForwDatagrams")
        : counter6(namespace, "Ip6OutForwDatagrams"),
    );
  const [ofA, ofA2, ofB] = [
    podAddress(1, 1, family),
    podAddress(1, 2, family),
    podAddress(2, 1, family),
  ];
  const node = onWire(1, family);

  await context.test("pods see each other's addresses, past the stacks of both nodes", async () => {
    const before = forwarded();
    for (const protocol of ["tcp", "udp"] as const) {
      assert.equal(await ask(a, ofB, PORT, { protocol }), ofA);
      assert.equal(await ask(b, ofA, PORT, { protocol }), ofB);
    }
    assert.deepEqual(forwarded(), before, "no stack forwarded anything");
  });

  await context.test("a megabyte there and back, found out what the path takes", async () => {
    assert.equal(await ask(a, ofB, PORT, { bytes: 1_000_000 }), ofA);
  });

  await context.test(
    "the same by the stacks alone, when nothing is known of other nodes",
    async () => {
      const routes = world.nodes.map(({ pods }) => new PodRoutes(pods.datapath.podRoutes));
      const rows = world.nodes.map(({ pods }) => [...pods.datapath.podRoutes.entries()]);
      const before = forwarded();
      for (const table of routes) table.set([]);
      try {
        assert.equal(await ask(a, ofB, PORT, { bytes: 100_000 }), ofA);
        forwarded().forEach((count, at) => assert.ok(count > before[at]!));
      } finally {
        world.nodes.forEach(({ pods }, at) => pods.datapath.podRoutes.updateAll(rows[at]!));
      }
    },
  );

  await context.test("a port of the node is the pod's, which sees who asks", async () => {
    for (const protocol of ["tcp", "udp"] as const) {
      assert.equal(await ask(world.client, node, HOST_PORT, { protocol }), onWire(CLIENT, family));
      assert.equal(await ask(a2, node, HOST_PORT, { protocol }), ofA2);
      assert.equal(await ask(b, node, HOST_PORT, { protocol }), ofB);
      assert.equal(await ask(a, node, HOST_PORT, { protocol }), node);
    }
    assert.equal(
      await ask(world.client, node, HOST_PORT, { bytes: 1_000_000 }),
      onWire(CLIENT, family),
    );
  });

  await context.test("a closed port behind it refuses, as the node would", async () => {
    assert.match(await ask(world.client, node, HOST_PORT + 1), /ECONNREFUSED/);
    assert.match(await ask(world.client, node, HOST_PORT + 1, { protocol: "udp" }), /ECONNREFUSED/);
  });

  await context.test(
    "answers to a program of the node are its own, whatever its port",
    async () => {
      for (const protocol of ["tcp", "udp"] as const) {
        const asked = { protocol, localPort: HOST_PORT };
        assert.equal(await ask(world.program, onWire(CLIENT, family), PORT, asked), node);
      }
    },
  );

  await context.test("policies of the pod judge what comes by it", async () => {
    const { pods } = one;
    const from = [`${onWire(CLIENT, family)}/${family === 4 ? 32 : 128}`];
    await pods.apply([{ rule: "not the client", action: "Drop", ingressOf: ["pod-1"], from }]);
    try {
      for (const protocol of ["tcp", "udp"] as const) {
        const asked = { protocol, timeoutMs: SILENCE_MS };
        assert.equal(await ask(world.client, node, HOST_PORT, asked), "silent");
      }
      assert.equal(await ask(b, node, HOST_PORT), ofB);
    } finally {
      await pods.apply([]);
    }
  });
}

interface Asked {
  readonly protocol?: "tcp" | "udp";
  readonly bytes?: number;
  readonly localPort?: number;
  readonly timeoutMs?: number;
}

async function setUp(lab: Lab, mode: Mode): Promise<World> {
  const wire = lab.namespace("wire");
  wire.run("ip", "link", "add", "bridge", "type", "bridge");
  wire.run("ip", "link", "set", "bridge", "up");
  const plug = (namespace: Namespace, number: number) => {
    const port = `port${number}`;
    const addresses = [`${onWire(number, 4)}/24`, `${onWire(number, 6)}/64`];
    lab.veth({ namespace: wire, name: port }, { namespace, name: "eth0", addresses });
    wire.run("ip", "link", "set", port, "master", "bridge");
  };
  const nodes: Node[] = [];
  for (const number of [1, 2]) {
    const namespace = lab.namespace(`node${number}`);
    plug(namespace, number);
    nodes.push(await addNode(lab, namespace, number));
  }
  const outside = lab.namespace("client");
  plug(outside, CLIENT);
  for (const node of nodes) route(lab, node, mode);
  for (const { peers } of nodes) {
    for (const peer of peers) await peer.call("serveWho", { port: PORT });
  }
  const [one, two] = nodes;
  assert.ok(one !== undefined && two !== undefined);
  const hostIp = undefined;
  new HostPorts(one.pods.datapath).set(
    ([4, 6] as const).map((family) => parseCidr(onWire(1, family))),
    [
      {
        ipv4: podAddress(1, 1, 4),
        ipv6: podAddress(1, 1, 6),
        ports: (["tcp", "udp"] as const).flatMap((protocol) => [
          { hostPort: HOST_PORT, containerPort: PORT, protocol, hostIp },
          { hostPort: HOST_PORT + 1, containerPort: PORT + 1, protocol, hostIp },
        ]),
      },
    ],
  );
  const client = startPeer(lab, outside);
  await client.call("serveWho", { port: PORT });
  return { nodes: [one, two], client, program: startPeer(lab, one.namespace) };
}

async function addNode(lab: Lab, namespace: Namespace, number: number): Promise<Node> {
  const pinRoot = mkdtempSync(join(defaultBpffs, `slt-${process.pid}-pods-`));
  lab.onCleanup(() => rmSync(pinRoot, { recursive: true }));
  const pods = await openPods(pinRoot);
  lab.onCleanup(() => pods.close());
  namespace.enter(() => {
    writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
    writeFileSync("/proc/sys/net/ipv6/conf/all/forwarding", "1");
  });
  const peers = [1, 2].map((pod) => {
    const inside = lab.namespace(`pod${number}${pod}`);
    addPod(lab, { namespace, pods, number }, inside, pod);
    return startPeer(lab, inside);
  });
  await pods.apply([]);
  attach(lab, namespace, pods.datapath.podArrive, namespace.indexOf("eth0"), "ingress");
  return { number, namespace, pods, peers: peers as [Peer, Peer] };
}

/** As a CNI plugin does. */
function addPod(
  lab: Lab,
  { namespace: node, pods, number }: Pick<Node, "namespace" | "pods" | "number">,
  inside: Namespace,
  pod: number,
): void {
  const mac = podMac(number, pod);
  const hostName = `slc-${pod}`;
  const [index] = lab.veth(
    { namespace: node, name: hostName, mac: GATEWAY_MAC },
    {
      namespace: inside,
      name: "eth0",
      mac,
      addresses: [`${podAddress(number, pod, 4)}/32`, `${podAddress(number, pod, 6)}/128`],
    },
  );
  inside.run("ip", "route", "add", GATEWAY[4], "dev", "eth0", "scope", "link");
  for (const family of [4, 6] as const) {
    const [gateway, own] = [GATEWAY[family], podAddress(number, pod, family)];
    inside.run(
      "ip",
      "neigh",
      "add",
      gateway,
      "lladdr",
      GATEWAY_MAC,
      "nud",
      "permanent",
      "dev",
      "eth0",
    );
    inside.run("ip", `-${family}`, "route", "add", "default", "via", gateway, "dev", "eth0");
    node.run("ip", `-${family}`, "route", "add", own, "dev", hostName);
    node.run("ip", "neigh", "add", own, "lladdr", mac, "nud", "permanent", "dev", hostName);
  }
  pods.add({
    name: `pod-${pod}`,
    index,
    mac,
    ipv4: podAddress(number, pod, 4),
    ipv6: podAddress(number, pod, 6),
  });
  attach(lab, node, pods.datapath.podOut, index, "ingress");
  attach(lab, node, pods.datapath.podIn, index, "egress");
}

function attach(
  lab: Lab,
  namespace: Namespace,
  program: Program,
  ifIndex: IfIndex,
  direction: "ingress" | "egress",
): void {
  const attached = namespace.enter(() =>
    attachTc(program, { ifIndex, direction, handle: 1, priority: 1 }),
  );
  if (attached.kind === "tcx") lab.onCleanup(() => attached.link.close());
}

/** Pods have the wire's MTU in both modes, so that by a tunnel they have to find out that it takes less. */
function route(lab: Lab, { number, namespace: node, pods }: Node, mode: Mode): void {
  const other = 3 - number;
  const tunnelMac = (of: number) => `02:00:00:00:ff:0${of}`;
  let device = "eth0";
  if (mode === "vxlan") {
    device = "sluice.vxlan";
    const ends = ["local", onWire(number, 4), "dev", "eth0"];
    node.run(
      ...(["ip", "link", "add", device, "address", tunnelMac(number)] as const),
      ...["type", "vxlan", "id", "7", "dstport", "8472", ...ends, "nolearning"],
    );
    node.run("ip", "link", "set", device, "up");
    node.run("bridge", "fdb", "append", tunnelMac(other), "dev", device, "dst", onWire(other, 4));
    attach(lab, node, pods.datapath.podArrive, node.indexOf(device), "ingress");
  }
  for (const family of [4, 6] as const) {
    /* The other end of a tunnel has an address that only its neighbour row knows. */
    const gateway = mode === "direct" ? onWire(other, family) : podAddress(other, 254, family);
    if (mode === "vxlan") {
      const neighbour = ["lladdr", tunnelMac(other), "nud", "permanent", "dev", device];
      node.run("ip", "neigh", "add", gateway, ...neighbour);
    }
    const onlink = mode === "vxlan" ? ["onlink"] : [];
    const way = ["via", gateway, "dev", device, ...onlink];
    node.run("ip", `-${family}`, "route", "add", podRange(other, family), ...way);
    if (mode === "direct") continue;
    /* What pods send to the other node goes by the tunnel, too: from elsewhere it would be taken for forged. */
    const from = ["from", podRange(number, family), "table", "100"];
    node.run("ip", `-${family}`, "rule", "add", ...from);
    node.run("ip", `-${family}`, "route", "add", onWire(other, family), ...way, "table", "100");
  }
  new PodRoutes(pods.datapath.podRoutes).set(
    ([4, 6] as const).map((family) => ({
      cidr: podRange(other, family),
      device: node.indexOf(device),
      isTunnel: mode === "vxlan",
    })),
  );
}
