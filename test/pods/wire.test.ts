/** Three pods on a node, on veths as a CNI plugin makes them, with real sockets (docs/pods.md). */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { attachTc, defaultBpffs, type IfIndex } from "../../datapath/index.js";
import { type Peer, startPeer } from "../lifecycle/peer-process.js";
import { eventually } from "../support/eventually.js";
import { type Lab, type Namespace, withNamespaces } from "../support/netns.js";
import { eth, ipv4, ipv6, type Layer, packet, payload } from "../support/packets.js";
import { counter4, counter6 } from "../support/snmp.js";
import { icmp, icmpv6, udp } from "../support/transports.js";
import { sendFrames, watchFrames } from "../uplink/raw-frames.js";
import { GATEWAY_MAC, openPods, type PodRule, type Pods } from "./harness.js";

const WEB = 8080;
const PRIVATE = 8081;
const DATAGRAMS = 7200;
const CLOSED = 7201;

const NODE = { 4: "192.0.2.10", 6: "2001:db8::10" } as const;
const OUTSIDE = { 4: "198.51.100.1", 6: "2001:db8:1::1" } as const;
const GATEWAY = { 4: "169.254.1.1", 6: "fe80::1" } as const;
const POD_NAMES = ["a", "b", "c"] as const;
type PodName = (typeof POD_NAMES)[number];

/** b takes some ports and pings from a. */
const rules: readonly PodRule[] = [
  {
    rule: "from a",
    action: "Accept",
    ingressOf: ["b"],
    from: ["10.1.0.1/32", "fd00::1/128"],
    protocols: [{ kind: "tcp", destinationPort: { start: WEB, end: WEB } }],
  },
  {
    rule: "datagrams",
    action: "Accept",
    ingressOf: ["b"],
    from: ["10.1.0.1/32", "fd00::1/128"],
    protocols: [{ kind: "udp", destinationPort: { start: DATAGRAMS, end: CLOSED } }],
  },
  {
    rule: "ping",
    action: "Accept",
    ingressOf: ["b"],
    from: ["10.1.0.1/32", "fd00::1/128"],
    protocols: [
      { kind: "icmp", type: 8 },
      { kind: "icmpv6", type: 128 },
    ],
  },
  { rule: "isolated", action: "Drop", ingressOf: ["b"] },
];

interface World {
  readonly lab: Lab;
  readonly pods: Pods;
  readonly node: Namespace;
  readonly namespaces: Readonly<Record<PodName, Namespace>>;
  readonly peers: Readonly<Record<PodName | "node" | "outside", Peer>>;
}

const mac = (name: PodName) => `02:00:00:00:01:0${POD_NAMES.indexOf(name) + 1}`;
const address = (name: PodName, family: 4 | 6) =>
  `${family === 4 ? "10.1.0." : "fd00::"}${POD_NAMES.indexOf(name) + 1}`;

for (const hook of ["tcx", "clsact"] as const) {
  test(`pods on a node, by ${hook}`, async (context) => {
    await withNamespaces(async (lab) => {
      const world = await setUp(lab, hook === "tcx");
      for (const family of [4, 6] as const) {
        await context.test(`IPv${family}`, (context) => between(context, world, family));
      }
    });
  });
}

async function between(context: TestContext, world: World, family: 4 | 6): Promise<void> {
  const { pods, node, namespaces, peers, lab } = world;
  const to = address("b", family);
  const name = (what: string) => `${what} ${family}`;
  const dropped = () => pods.counted("b", "in", "drop", "rule");
  const head = (source: string, destination: string, hops: number) =>
    family === 4
      ? ipv4({ source, destination, ttl: hops })
      : ipv6({ source, destination, hopLimit: hops });
  const frame = (from: PodName, destination: string, inner: readonly Layer[], hops = 64) =>
    packet(
      eth({ source: mac(from), destination: GATEWAY_MAC }),
      head(address(from, family), destination, hops),
      ...inner,
    );
  const forwarded = () =>
    family === 4 ? counter4(node, "Ip", "ForwDatagrams") : counter6(node, "Ip6OutForwDatagrams");

  await context.test(
    "a TCP connection that the rules allow works both ways, past the stack",
    async () => {
      const before = forwarded();
      const port = await peers.a.call("openTcp", { name: name("web"), to, port: WEB });
      await talk(peers.a, name("web"), peers.b, `accepted ${port}`, "ask");
      await talk(peers.b, `accepted ${port}`, peers.a, name("web"), "answer");
      assert.equal(forwarded(), before, "the node's stack forwarded nothing");
      const flow = pods.flow({ protocol: 6, localPort: port });
      assert.ok(flow !== undefined && flow.packetsForth >= 3n && flow.packetsBack >= 2n);
    },
  );

  await context.test("a TCP connection that they refuse is not answered", async () => {
    for (const [from, port] of [
      [peers.c, WEB],
      [peers.a, PRIVATE],
    ] as const) {
      const before = dropped();
      let isOpen = false;
      void from.call("openTcp", { name: name(`refused ${port}`), to, port }).then(
        () => (isOpen = true),
        () => undefined,
      );
      /* The first SYN and one that is sent again, a second later. */
      await eventually(() => assert.ok(dropped() >= before + 2n));
      assert.equal(isOpen, false);
    }
  });

  await context.test("datagrams", async () => {
    const before = dropped();
    for (const pod of ["a", "c"] as const) {
      const stream = name(`datagram-${pod}`).replaceAll(" ", "-");
      const from = address(pod, family);
      await peers[pod].call("send", { from, to, port: DATAGRAMS, stream, number: 1 });
    }
    const heard = (pod: string) => peers.b.call("heard", { stream: `datagram-${pod}-${family}` });
    await eventually(async () => assert.equal(await heard("a"), 1));
    await eventually(() => assert.ok(dropped() > before));
    assert.equal(await heard("c"), 0);
  });

  await context.test("an echo comes back; one that the rules refuse does not", async () => {
    const replies = (pod: PodName) =>
      family === 4
        ? counter4(namespaces[pod], "Icmp", "InEchoReps")
        : counter6(namespaces[pod], "Icmp6InEchoReplies");
    const echo = family === 4 ? icmp() : icmpv6();
    const [before, refused] = [{ a: replies("a"), c: replies("c") }, dropped()];
    for (const pod of ["a", "c"] as const)
      sendFrames(namespaces[pod], "eth0", [frame(pod, to, [echo])]);
    await eventually(() => assert.equal(replies("a"), before.a + 1));
    await eventually(() => assert.ok(dropped() > refused));
    assert.equal(replies("c"), before.c);
  });

  await context.test(
    "arrives on the pod's own interface from its gateway, one hop less",
    async () => {
      const seen = await watchFrames(lab, namespaces.b, "eth0");
      const inner = [
        udp({ sourcePort: 41000 + family, destinationPort: DATAGRAMS }),
        payload("seen 1"),
      ];
      sendFrames(namespaces.a, "eth0", [frame("a", to, inner)]);
      const expected = packet(
        eth({ source: GATEWAY_MAC, destination: mac("b") }),
        head(address("a", family), to, 63),
        ...inner,
      );
      await seen.sees(expected.toString("hex"));
    },
  );

  await context.test("the answer that a port is closed comes back", async () => {
    const errors = () =>
      family === 4
        ? counter4(namespaces.a, "Icmp", "InDestUnreachs")
        : counter6(namespaces.a, "Icmp6InDestUnreachs");
    const before = errors();
    const from = address("a", family);
    await peers.a.call("send", { from, to, port: CLOSED, stream: "closed", number: 1 });
    await eventually(() => assert.equal(errors(), before + 1));
  });

  await context.test("the node answers for a packet that has no hop left", async () => {
    const errors = () =>
      family === 4
        ? counter4(namespaces.a, "Icmp", "InTimeExcds")
        : counter6(namespaces.a, "Icmp6InTimeExcds");
    const before = errors();
    sendFrames(namespaces.a, "eth0", [frame("a", to, [udp({ destinationPort: DATAGRAMS })], 1)]);
    await eventually(() => assert.equal(errors(), before + 1));
  });

  await context.test("the node reaches its pod whatever the rules say", async () => {
    const port = await peers.node.call("openTcp", { name: name("probe"), to, port: PRIVATE });
    await talk(peers.node, name("probe"), peers.b, `accepted ${port}`, "probe");
    await talk(peers.b, `accepted ${port}`, peers.node, name("probe"), "alive");
  });

  await context.test(
    "outside: what a pod opens is answered, what the rules refuse is not",
    async () => {
      const before = dropped();
      const outside = OUTSIDE[family];
      const port = await peers.b.call("openTcp", { name: name("out"), to: outside, port: WEB });
      await talk(peers.b, name("out"), peers.outside, `accepted ${port}`, "ask");
      await talk(peers.outside, `accepted ${port}`, peers.b, name("out"), "answer");
      await peers.outside.call("send", {
        from: outside,
        to,
        port: DATAGRAMS,
        stream: "in",
        number: family,
      });
      await eventually(() => assert.equal(dropped(), before + 1n));
    },
  );

  await context.test("nobody can send as another pod", async () => {
    const before = pods.counted("c", "out", "drop", "spoofed");
    const forged = packet(
      eth({ source: mac("c"), destination: GATEWAY_MAC }),
      head(address("a", family), to, 64),
      udp({ destinationPort: DATAGRAMS }),
      payload(`forged-${family} 1`),
    );
    sendFrames(namespaces.c, "eth0", [forged]);
    await eventually(() => assert.equal(pods.counted("c", "out", "drop", "spoofed"), before + 1n));
    assert.equal(await peers.b.call("heard", { stream: `forged-${family}` }), 0);
  });

  await context.test(
    "a change of the rules cuts what is open; taken back, it goes on",
    async () => {
      const port = await peers.a.call("openTcp", { name: name("cut"), to, port: WEB });
      await talk(peers.a, name("cut"), peers.b, `accepted ${port}`, "before");
      await pods.apply(rules.filter(({ rule }) => rule !== "from a"));
      const before = dropped();
      await peers.a.call("tellTcp", { name: name("cut"), text: "meanwhile" });
      await eventually(() => assert.ok(dropped() > before));
      assert.equal(await peers.b.call("heardTcp", { name: `accepted ${port}` }), "before");
      await pods.apply(rules);
      await hears(peers.b, `accepted ${port}`, "meanwhile");
    },
  );
}

async function setUp(lab: Lab, useTcx: boolean): Promise<World> {
  const pinRoot = mkdtempSync(join(defaultBpffs, `slt-${process.pid}-pods-`));
  lab.onCleanup(() => rmSync(pinRoot, { recursive: true }));
  const pods = await openPods(pinRoot);
  lab.onCleanup(() => pods.close());
  const node = lab.namespace("node");
  node.enter(() => {
    writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
    writeFileSync("/proc/sys/net/ipv6/conf/all/forwarding", "1");
  });
  for (const family of [4, 6] as const) {
    const nodad = family === 6 ? ["nodad"] : [];
    node.run("ip", "address", "add", NODE[family], "dev", "lo", ...nodad);
  }
  const namespaces = { a: lab.namespace("a"), b: lab.namespace("b"), c: lab.namespace("c") };
  for (const name of POD_NAMES) {
    const index = addPod(lab, node, namespaces[name], name);
    pods.add({
      name,
      index,
      mac: mac(name),
      ipv4: address(name, 4),
      ipv6: address(name, 6),
    });
    attach(lab, node, pods, index, useTcx);
  }
  const outside = addOutside(lab, node);
  await pods.apply(rules);
  const peers = {
    a: startPeer(lab, namespaces.a),
    b: startPeer(lab, namespaces.b),
    c: startPeer(lab, namespaces.c),
    node: startPeer(lab, node),
    outside: startPeer(lab, outside),
  };
  for (const port of [WEB, PRIVATE]) await peers.b.call("serveTcp", { port });
  await peers.outside.call("serveTcp", { port: WEB });
  await peers.b.call("listen", { port: DATAGRAMS });
  return { lab, pods, node, namespaces, peers };
}

/** As a CNI plugin does: one address of each family, a gateway on the link, permanent neighbours on both ends. */
function addPod(lab: Lab, node: Namespace, pod: Namespace, name: PodName): IfIndex {
  const [index] = lab.veth(
    { namespace: node, name: `slc-${name}`, mac: GATEWAY_MAC },
    {
      namespace: pod,
      name: "eth0",
      mac: mac(name),
      addresses: [`${address(name, 4)}/32`, `${address(name, 6)}/128`],
    },
  );
  pod.run("ip", "route", "add", GATEWAY[4], "dev", "eth0", "scope", "link");
  for (const family of [4, 6] as const) {
    const [gateway, own] = [GATEWAY[family], address(name, family)];
    const link = ["dev", `slc-${name}`];
    const neighbour = (lladdr: string) => ["lladdr", lladdr, "nud", "permanent"];
    pod.run("ip", "neigh", "add", gateway, ...neighbour(GATEWAY_MAC), "dev", "eth0");
    pod.run("ip", `-${family}`, "route", "add", "default", "via", gateway, "dev", "eth0");
    node.run("ip", `-${family}`, "route", "add", own, ...link);
    node.run("ip", "neigh", "add", own, ...neighbour(mac(name)), ...link);
  }
  return index;
}

function attach(lab: Lab, node: Namespace, pods: Pods, ifIndex: IfIndex, useTcx: boolean): void {
  for (const [program, direction] of [
    [pods.datapath.podOut, "ingress"],
    [pods.datapath.podIn, "egress"],
  ] as const) {
    const filter = { ifIndex, direction, handle: 1, priority: 1 };
    const attached = node.enter(() => attachTc(program, filter, useTcx));
    if (attached.kind === "tcx") lab.onCleanup(() => attached.link.close());
  }
}

function addOutside(lab: Lab, node: Namespace): Namespace {
  const outside = lab.namespace("outside");
  const ends = { 4: "198.51.100.2", 6: "2001:db8:1::2" } as const;
  lab.veth(
    { namespace: node, name: "eth0", addresses: [`${ends[4]}/24`, `${ends[6]}/64`] },
    { namespace: outside, name: "wire", addresses: [`${OUTSIDE[4]}/24`, `${OUTSIDE[6]}/64`] },
  );
  for (const gateway of Object.values(ends)) {
    outside.run("ip", "route", "add", "default", "via", gateway);
  }
  return outside;
}

async function talk(
  from: Peer,
  name: string,
  to: Peer,
  itsName: string,
  text: string,
): Promise<void> {
  await from.call("tellTcp", { name, text });
  await hears(to, itsName, text);
}

async function hears(peer: Peer, name: string, text: string): Promise<void> {
  await eventually(async () => {
    const heard = await peer.call("heardTcp", { name });
    assert.ok(heard.endsWith(text), `${name} heard ${heard}`);
  });
}
