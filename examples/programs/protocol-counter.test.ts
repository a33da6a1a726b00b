import assert from "node:assert/strict";
import { test } from "node:test";
import { PerCpuMap, sumCounters, testRun, u32, u64, XdpAction } from "sluice/datapath";
import { loadObject } from "../../test/support/objects.js";
import { eth, ipv4, ipv6, packet, Protocol } from "../../test/support/packets.js";
import { icmpv6, tcp, udp } from "../../test/support/transports.js";

test("each packet is counted under its protocol, and passes", async (context) => {
  const object = await loadObject(context, "protocol-counter");
  const program = object.takeProgram("protocol_counter");
  const packets = new PerCpuMap(object.takeMap("packets"), u32, u64);
  context.after(() => {
    program.close();
    packets.close();
  });
  for (const [count, bytes] of [
    [3, packet(eth(), ipv4(), tcp())],
    [2, packet(eth(), ipv4(), udp())],
    [5, packet(eth(), ipv6(), icmpv6())],
  ] as const) {
    assert.equal(testRun(program, { packet: bytes, repeat: count }).verdict, XdpAction.pass);
  }
  const counted = [...sumCounters(packets)]
    .map((count, protocol) => [protocol, count] as const)
    .filter(([, count]) => count > 0n);
  assert.deepEqual(counted, [
    [Protocol.tcp, 3n],
    [Protocol.udp, 2n],
    [Protocol.icmpv6, 5n],
  ]);
});
