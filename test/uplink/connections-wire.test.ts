/** Connections the node opened (docs/xdp-policy.md §8), with real sockets behind a policy that drops by default. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import type { Connection, ConnectionKey } from "../../datapath/generated/layout.js";
import { attachTcx, attachXdp } from "../../datapath/index.js";
import { defaultFailSafe } from "../../operator/apply/fail-safe.js";
import { type Peer, startPeer } from "../lifecycle/peer-process.js";
import { policy, rule } from "../oracle/build.js";
import { type Lab, type Namespace, withNamespaces } from "../support/netns.js";
import { eth, ipv4, ipv6, macA, macB, packet, Protocol } from "../support/packets.js";
import { icmp, icmpv6, tcp, udp } from "../support/transports.js";
import { eventually } from "../support/eventually.js";
import { counter4, counter6 } from "../support/snmp.js";
import { openUplink, type Uplink } from "./harness.js";
import { sendFrames } from "./raw-frames.js";

const WEB = 8080;
const TCP_PORT = 7100;
const UDP_PORT = 7200;
const CLOSED_PORT = 7999;
const FAR_MTU = 1280;
const RULES = [
  rule("web", "Accept", {
    protocols: [{ kind: "tcp", destinationPort: { start: WEB, end: WEB } }],
  }),
];

interface Addresses {
  readonly node: string;
  readonly outside: string;
  /** Behind `outside`, on a link of a smaller MTU. */
  readonly gateway: string;
  readonly far: string;
}

const V4: Addresses = {
  node: "10.9.0.1",
  outside: "10.9.0.2",
  gateway: "10.9.1.1",
  far: "10.9.1.2",
};
const V6: Addresses = {
  node: "2001:db8:9::1",
  outside: "2001:db8:9::2",
  gateway: "2001:db8:a::1",
  far: "2001:db8:a::2",
};

interface Stage {
  readonly uplink: Uplink;
  readonly node: Namespace;
  readonly outside: Namespace;
  readonly inner: Peer;
  readonly outer: Peer;
}

test("a node behind a default of Drop", async (context) => {
  await withNamespaces(async (lab) => {
    const stage = await setUp(lab);
    await stage.outer.call("serveTcp", { port: TCP_PORT });
    await stage.outer.call("listen", { port: UDP_PORT });
    await stage.inner.call("serveTcp", { port: WEB });
    await stage.inner.call("listen", { port: UDP_PORT });
    for (const [name, addresses] of Object.entries({ IPv4: V4, IPv6: V6 })) {
      await context.test(name, (context) => families(context, stage, addresses));
    }
    await context.test("the life of a TCP connection", (context) => life(context, stage));
    await context.test(
      "a flood of SYNs on an open port leaves the node's own connections alone",
      () => synFlood(stage),
    );
  });
});

async function families(context: TestContext, stage: Stage, addresses: Addresses): Promise<void> {
  const { uplink, node, inner, outer } = stage;
  const { node: to, outside: peer, far } = addresses;
  const isV6 = addresses === V6;
  const ip = isV6
    ? (source: string, destination: string) => ipv6({ source, destination })
    : (source: string, destination: string) => ipv4({ source, destination });
  const fromOutside = eth({ source: macB, destination: macA });

  await context.test("a TCP connection that it opens works both ways", async () => {
    const port = await inner.call("openTcp", { name: `own ${to}`, to: peer, port: TCP_PORT });
    await inner.call("tellTcp", { name: `own ${to}`, text: "ask" });
    await untilHears(outer, `accepted ${port}`, "ask");
    await outer.call("tellTcp", { name: `accepted ${port}`, text: "answer" });
    await untilHears(inner, `own ${to}`, "answer");
  });

  await context.test("a port that a rule accepts can be reached", async () => {
    const port = await outer.call("openTcp", { name: `web ${to}`, to, port: WEB });
    await outer.call("tellTcp", { name: `web ${to}`, text: "hello" });
    await untilHears(inner, `accepted ${port}`, "hello");
  });

  await context.test("a datagram is answered", async () => {
    const stream = `question-${isV6}`;
    const question = { from: to, to: peer, port: UDP_PORT, stream, number: 1 };
    await inner.call("send", question);
    await eventually(async () => assert.equal(await outer.call("heard", { stream }), 1));
    const [{ localPort }] = find(
      uplink,
      ({ protocol, remotePort, family }) =>
        protocol === Protocol.udp && remotePort === UDP_PORT && family === (isV6 ? 6 : 4),
    );
    const reply = packet(
      fromOutside,
      ip(peer, to),
      udp({ sourcePort: UDP_PORT, destinationPort: localPort }),
    );
    assert.equal(await passed(stage, reply), true);
  });

  await context.test("what nobody asked for is dropped", async () => {
    const frames = [
      tcp({ destinationPort: TCP_PORT }),
      tcp({ sourcePort: TCP_PORT, destinationPort: 33000, flags: ["ACK"] }),
      udp({ destinationPort: UDP_PORT }),
      isV6 ? icmpv6() : icmp(),
      isV6 ? icmpv6({ type: 129 }) : icmp({ type: 0 }),
    ].map((inner) => packet(fromOutside, ip(peer, to), inner));
    for (const frame of frames) assert.equal(await passed(stage, frame), false);
  });

  await context.test("an echo of its own comes back", async () => {
    const replies = () =>
      isV6 ? counter6(node, "Icmp6InEchoReplies") : counter4(node, "Icmp", "InEchoReps");
    const before = replies();
    const echo = isV6 ? icmpv6({ rest: 0x51010001 }) : icmp({ rest: 0x51010001 });
    sendFrames(node, "eth0", [
      packet(eth({ source: macA, destination: macB }), ip(to, peer), echo),
    ]);
    await eventually(() => assert.equal(replies() - before, 1));
  });

  await context.test("the answer that a port is closed reaches it", async () => {
    const errors = () =>
      isV6 ? counter6(node, "Icmp6InDestUnreachs") : counter4(node, "Icmp", "InDestUnreachs");
    const before = errors();
    const stream = `refused-${isV6}`;
    await inner.call("send", { from: to, to: peer, port: CLOSED_PORT, stream, number: 1 });
    await eventually(() => assert.equal(errors() - before, 1));
  });

  await context.test("a router's smaller MTU reaches it", async () => {
    const route = () => node.run("ip", "route", "get", far);
    assert.doesNotMatch(route(), /mtu/);
    // The text is the payload: larger than the link behind the router, not than this one.
    const stream = "x".repeat(1400);
    await inner.call("send", { from: to, to: far, port: UDP_PORT, stream, number: 1 });
    await eventually(() => assert.match(route(), new RegExp(`mtu ${FAR_MTU}`)));
  });
}

async function life(context: TestContext, stage: Stage): Promise<void> {
  const { uplink, node, inner, outer } = stage;
  const toServer = ({ protocol, remotePort }: ConnectionKey) =>
    protocol === Protocol.tcp && remotePort === TCP_PORT;

  await context.test("data out keeps it alive, in packets of any shape", async () => {
    const name = "long";
    const port = await inner.call("openTcp", { name, to: V4.outside, port: TCP_PORT });
    const mine = (key: ConnectionKey) => toServer(key) && key.localPort === port;
    for (const size of [1, 200, 5000]) {
      const [key, { lifetimeNs }] = find(uplink, mine);
      const lastOutNs = process.hrtime.bigint() - 1_800_000_000_000n;
      uplink.datapath.connections.update(key, { lifetimeNs, lastOutNs });
      const text = `${"x".repeat(size)} ${size}.`;
      await inner.call("tellTcp", { name, text });
      await untilHears(outer, `accepted ${port}`, text);
      const [, refreshed] = find(uplink, mine);
      assert.ok(refreshed.lastOutNs > lastOutNs, `${size} bytes of data refresh it`);
      assert.equal(refreshed.lifetimeNs, 3_600_000_000_000n);
    }
  });

  await context.test("60 s are left after it has closed", async () => {
    const before = new Set(ports());
    // The process ends when both sides have closed.
    const script = `require("net").connect(${TCP_PORT}, "${V4.outside}", function () { this.end(); });`;
    node.run(process.execPath, "-e", script);
    const [port, ...others] = ports().filter((found) => !before.has(found));
    assert.ok(port !== undefined && others.length === 0);
    const [, { lifetimeNs }] = find(uplink, (key) => toServer(key) && key.localPort === port);
    assert.equal(lifetimeNs, 60_000_000_000n);
  });

  function ports(): readonly number[] {
    const keys = [...uplink.datapath.connections.keys()].filter(toServer);
    return keys.filter(({ family }) => family === 4).map(({ localPort }) => localPort);
  }
}

async function synFlood({ uplink, node, outside, inner, outer }: Stage): Promise<void> {
  const size = () => [...uplink.datapath.connections.keys()].length;
  const flood = Array.from({ length: 3000 }, (_, index) =>
    packet(
      eth({ source: macB, destination: macA }),
      ipv4({ source: `10.50.${index >> 8}.${index & 255}`, destination: V4.node }),
      tcp({ sourcePort: 1024 + index, destinationPort: WEB, sequence: index }),
    ),
  );
  const [before, sent] = [size(), counter4(node, "Tcp", "OutSegs")];
  sendFrames(outside, "wire", flood);
  await eventually(() => {
    const answers = counter4(node, "Tcp", "OutSegs") - sent;
    assert.ok(answers >= flood.length / 2, `${answers} segments out`);
  });
  assert.equal(size(), before, "no answer to the flood is remembered");
  const port = await inner.call("openTcp", { name: "after", to: V4.outside, port: TCP_PORT });
  await outer.call("tellTcp", { name: `accepted ${port}`, text: "still here" });
  await untilHears(inner, "after", "still here");
}

async function setUp(lab: Lab): Promise<Stage> {
  const uplink = await openUplink();
  lab.onCleanup(() => uplink.close());
  const [node, outside, far] = ["node", "outside", "far"].map((name) => lab.namespace(name));
  assert.ok(node !== undefined && outside !== undefined && far !== undefined);
  const [index] = lab.veth(
    { namespace: node, name: "eth0", mac: macA, addresses: [`${V4.node}/24`, `${V6.node}/64`] },
    {
      namespace: outside,
      name: "wire",
      mac: macB,
      addresses: [`${V4.outside}/24`, `${V6.outside}/64`],
    },
  );
  lab.veth(
    {
      namespace: outside,
      name: "narrow",
      mtu: FAR_MTU,
      addresses: [`${V4.gateway}/24`, `${V6.gateway}/64`],
    },
    { namespace: far, name: "eth0", mtu: FAR_MTU, addresses: [`${V4.far}/24`, `${V6.far}/64`] },
  );
  for (const address of [V4.outside, V6.outside]) {
    node.run("ip", "route", "add", "default", "via", address);
  }
  outside.enter(() => {
    writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
    writeFileSync("/proc/sys/net/ipv6/conf/all/forwarding", "1");
  });

  const failSafe = defaultFailSafe({ resolvers: [], apiServers: [] });
  await uplink.apply({ failSafe, policies: [policy("closed", RULES, { defaultAction: "Drop" })] });
  uplink.bind(index, "eth0");
  const links = node.enter(() => [
    attachXdp(uplink.datapath.uplink, index, { mode: "native" }).link,
    attachTcx(uplink.datapath.uplinkEgress, index, "egress"),
  ]);
  lab.onCleanup(() => links.forEach((link) => link.close()));
  return { uplink, node, outside, inner: startPeer(lab, node), outer: startPeer(lab, outside) };
}

/** Sends a frame from outside and says whether it passed, by what grew: the default's counter or `established`. */
async function passed({ uplink, outside }: Stage, frame: Buffer): Promise<boolean> {
  const dropped = () => uplink.counterOf("closed", "default").packets;
  const established = () => uplink.countOf("eth0", "pass", "established").packets;
  const before = [dropped(), established()];
  sendFrames(outside, "wire", [frame]);
  await eventually(() => assert.notDeepEqual([dropped(), established()], before));
  return established() > before[1]!;
}

type Entry = readonly [ConnectionKey, Connection];

/** The one entry that fits. */
function find({ datapath }: Uplink, fits: (key: ConnectionKey) => boolean): Entry {
  const [entry, ...others] = [...datapath.connections.entries()].filter(([key]) => fits(key));
  assert.ok(entry !== undefined && others.length === 0, `${others.length} others`);
  return entry;
}

async function untilHears(peer: Peer, name: string, text: string): Promise<void> {
  await eventually(async () => {
    const heard = await peer.call("heardTcp", { name });
    assert.ok(heard.endsWith(text), `${name} heard ${heard.length} characters`);
  });
}
