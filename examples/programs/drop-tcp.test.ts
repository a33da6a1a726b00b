import assert from "node:assert/strict";
import { test } from "node:test";
import { testRun, XdpAction } from "sluice/datapath";
import { eth, ipv4, packet, payload } from "../../test/support/packets.js";
import { tcp, udp } from "../../test/support/transports.js";
import { loadProgram } from "../../test/support/objects.js";

test("a TCP packet is dropped", async (context) => {
  const program = await loadProgram(context, "drop-tcp", "drop_tcp");
  const segment = packet(eth(), ipv4(), tcp({ destinationPort: 80 }));
  assert.equal(testRun(program, { packet: segment }).verdict, XdpAction.drop);
});

test("a UDP packet passes unchanged", async (context) => {
  const program = await loadProgram(context, "drop-tcp", "drop_tcp");
  const datagram = packet(eth(), ipv4(), udp({ destinationPort: 53 }), payload("question"));
  const result = testRun(program, { packet: datagram });
  assert.equal(result.verdict, XdpAction.pass);
  assert.deepEqual(result.packet, datagram);
});
