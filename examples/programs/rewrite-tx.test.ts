import assert from "node:assert/strict";
import { test } from "node:test";
import { testRun, XdpAction } from "sluice/datapath";
import { loadProgram } from "../../test/support/objects.js";
import { eth, ipv4, macA, macB, packet, payload } from "../../test/support/packets.js";
import { udp } from "../../test/support/transports.js";

test("UDP to port 9090 goes back out with its MAC addresses swapped", async (context) => {
  const program = await loadProgram(context, "rewrite-tx", "rewrite_tx");
  const rest = [ipv4(), udp({ destinationPort: 9090 }), payload("ping")] as const;
  const result = testRun(program, {
    packet: packet(eth({ source: macA, destination: macB }), ...rest),
  });
  assert.equal(result.verdict, XdpAction.tx);
  assert.deepEqual(result.packet, packet(eth({ source: macB, destination: macA }), ...rest));
});

test("UDP to another port passes unchanged", async (context) => {
  const program = await loadProgram(context, "rewrite-tx", "rewrite_tx");
  const datagram = packet(eth(), ipv4(), udp({ destinationPort: 9091 }), payload("ping"));
  const result = testRun(program, { packet: datagram });
  assert.equal(result.verdict, XdpAction.pass);
  assert.deepEqual(result.packet, datagram);
});
