import assert from "node:assert/strict";
import { test } from "node:test";
import { ifIndex } from "../../datapath/handles.js";
import {
  TcAction,
  testRun,
  testRunAsync,
  testRunLive,
  testRunLiveAsync,
  XdpAction,
} from "../../datapath/test-run.js";
import { withNamespaces } from "../support/netns.js";
import { loadProgram } from "../support/objects.js";
import { eth, ipv4, macB, packet, payload } from "../support/packets.js";
import { tcp, udp } from "../support/transports.js";

const datagram = packet(eth(), ipv4(), udp(), payload("question"));

test("a run gives back verdict, packet and mean time", async (context) => {
  const program = await loadProgram(context, "drop-tcp", "drop_tcp");
  const result = testRun(program, { packet: datagram, repeat: 1000 });
  assert.equal(result.verdict, XdpAction.pass);
  assert.deepEqual(result.packet, datagram);
  assert.equal(result.context.length, 0);
  assert.ok(result.durationNs < 1e6);
});

test("a run on another thread gives the same, many at a time", async (context) => {
  const program = await loadProgram(context, "rewrite-tx", "rewrite_tx");
  const ports = Array.from({ length: 32 }, (_, index) => 9080 + index);
  const results = await Promise.all(
    ports.map((destinationPort) =>
      testRunAsync(program, { packet: packet(eth(), ipv4(), udp({ destinationPort })) }),
    ),
  );
  assert.deepEqual(
    results.map(({ verdict }) => verdict === XdpAction.tx),
    ports.map((port) => port === 9090),
  );
});

test("the program sees the interface and the queue of the context", async (context) => {
  const program = await loadProgram(context, "context-fixture", "interface_and_queue");
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const other = lab.namespace("other");
    const [index] = lab.veth(
      { namespace: node, name: "eth0", queues: 4 },
      { namespace: other, name: "eth0" },
    );
    const run = (queue: number) =>
      node.enter(() => testRun(program, { packet: datagram, context: { ingress: index, queue } }));
    assert.equal(run(3).verdict, index * 100 + 3);
    assert.throws(() => run(4), { code: "SLUICE_TEST_RUN_FAILED" });
  });
});

test("metadata is given before the packet, and what the program adds comes back", async (context) => {
  const program = await loadProgram(context, "context-fixture", "metadata");
  const added = testRun(program, { packet: datagram, context: { ingress: ifIndex(1) } });
  assert.equal(added.verdict, XdpAction.pass);
  assert.equal(added.packet.readUInt32LE(0), 0x5108);
  assert.deepEqual(added.packet.subarray(4), datagram);
  const word = Buffer.from([9, 0, 0, 0]);
  const given = testRun(program, {
    packet: Buffer.concat([word, datagram]),
    context: { ingress: ifIndex(1), metadataBytes: 4 },
  });
  assert.equal(given.verdict, 9);
});

test("a tc program runs with its own context", async (context) => {
  const program = await loadProgram(context, "tables-fixture", "pass_tc");
  assert.equal(testRun(program, { packet: datagram }).verdict, TcAction.next);
});

test("a packet without a whole Ethernet header is refused", async (context) => {
  const program = await loadProgram(context, "drop-tcp", "drop_tcp");
  assert.throws(() => testRun(program, { packet: Buffer.alloc(13) }), {
    code: "SLUICE_TEST_RUN_FAILED",
    message: /cannot run program drop_tcp on a packet: EINVAL/,
  });
});

test("live frames that pass are received by the interface of the context", async (context) => {
  const program = await loadProgram(context, "drop-tcp", "drop_tcp");
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const client = lab.namespace("client");
    const [index] = lab.veth(
      { namespace: node, name: "eth0", addresses: ["192.0.2.2/24"], mac: macB },
      { namespace: client, name: "eth0" },
    );
    node.enter(() => {
      testRunLive(program, { packet: datagram, context: { ingress: index }, repeat: 1000 });
    });
    // Nobody listens on the port, and the stack counts that only for datagrams that reached it.
    const counted = node.run("nstat", "-asz", "UdpNoPorts");
    assert.match(counted, /UdpNoPorts\s+1000\b/);
  });
});

test("live frames run on another thread, and a missing interface is refused", async (context) => {
  const program = await loadProgram(context, "drop-tcp", "drop_tcp");
  const dropped = packet(eth(), ipv4(), tcp());
  const loopback = { ingress: ifIndex(1) };
  await testRunLiveAsync(program, { packet: dropped, context: loopback, repeat: 1000 });
  const missing = { packet: dropped, context: { ingress: ifIndex(999999) } };
  await assert.rejects(testRunLiveAsync(program, missing), { code: "SLUICE_TEST_RUN_FAILED" });
});
