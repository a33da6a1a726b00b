/** Redirected packets arrive: real frames, a real agent, real targets. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { Limits } from "../../datapath/generated/layout.js";
import { attachXdp } from "../../datapath/index.js";
import type { InterfaceState } from "../../operator/api/engine.js";
import {
  createWorld,
  friend,
  nodeAddress,
  policy,
  udpPort,
  type World,
} from "../lifecycle/world.js";
import { type Lab, withNamespaces } from "../support/netns.js";
import { loadProgram } from "../support/objects.js";
import { eth, ipv4, ipv6, packet, payload } from "../support/packets.js";
import { udp } from "../support/transports.js";
import { eventually } from "../support/eventually.js";
import { printLines } from "./printer.js";
import { sendFrames, watchFrames } from "./raw-frames.js";

const RECEIVER = fileURLToPath(new URL("../../bin/afxdp-receiver", import.meta.url));
const PORTS = { lan: 7001, capture: 7003, gone: 7004, missingCpu: 7005 };

const redirect = (name: string, target: string, port: number) =>
  `{name: ${name}, action: Redirect, redirect: {${target}}, ` +
  `protocols: [{udp: {destinationPort: {number: ${port}}}}]}`;
const RULES = [
  redirect("to-lan", "interface: lan0", PORTS.lan),
  redirect("to-capture", "socketMap: capture", PORTS.capture),
  redirect("gone", "interface: nowhere0", PORTS.gone),
  redirect("no-such-cpu", "cpus: [4095]", PORTS.missingCpu),
];

test("redirected packets arrive where the rule says", async (context) => {
  const pass = await loadProgram(context, "protocol-counter", "protocol_counter");
  await withNamespaces(async (lab) => {
    const world = await createWorld(lab);
    // A veth leaves checksums to the other end, and a packet that takes another way than the stack's has none.
    world.outside.run("ethtool", "--offload", "wire", "tx", "off");
    const lan = lab.namespace("lan");
    const [, index] = lab.veth(
      { namespace: world.node, name: "lan0" },
      { namespace: lan, name: "eth0" },
    );
    // A veth takes redirected frames only while its other end runs a program, too.
    const { link } = lan.enter(() => attachXdp(pass, index, { mode: "native" }));
    lab.onCleanup(() => link.close());

    world.write("redirects.yaml", policy("aside", { rules: RULES }));
    const agent = world.start();
    await agent.ready();
    assert.equal((await world.api.call("status")).interfaces[0]?.mode, "native");

    await context.test("the frame leaves by the other interface, unchanged", async () => {
      const seen = await watchFrames(lab, lan, "eth0");
      const frames = [60, 61, 1514].map((length) => frameTo(PORTS.lan, length));
      sendFrames(world.outside, "wire", frames);
      for (const frame of frames) await seen.sees(frame.toString("hex"));
      await assertMatched(world, "to-lan", frames);
    });

    await context.test("a packet reaches its socket by any CPU, and by several", async () => {
      await cpuTest(world);
    });

    await context.test("the AF_XDP socket in the pinned map gets the frame", async (context) => {
      await captureTest(context, lab, world);
    });

    await context.test("a target that is missing drops the packet", async () => {
      const before = await verdicts(world);
      const frames = [PORTS.gone, PORTS.missingCpu].map((port) => frameTo(port, 60));
      sendFrames(world.outside, "wire", frames);
      await eventually(async () => {
        assert.equal((await verdicts(world)).drop.packets - before.drop.packets, 2);
      });
      for (const rule of ["gone", "no-such-cpu"]) await assertMatched(world, rule, [frames[0]!]);
    });
  });
});

async function verdicts(world: World): Promise<InterfaceState["verdicts"]> {
  const [eth0] = (await world.api.call("status")).interfaces;
  assert.ok(eth0 !== undefined);
  return eth0.verdicts;
}

async function cpuTest(world: World): Promise<void> {
  const { inner, outer } = world;
  for (const cpus of ["0", "1", "0, 1"]) {
    const stream = `cpus ${cpus}`.replaceAll(/\W+/g, "-");
    world.write(
      "cpus.yaml",
      policy("cpus", { rules: [redirect(stream, `cpus: [${cpus}]`, udpPort)] }),
    );
    await eventually(async () => void (await world.rule("cpus", stream)));
    const before = await verdicts(world);
    const numbers = [1, 2, 3, 4, 5];
    for (const number of numbers) {
      await outer.call("send", { from: friend, to: nodeAddress, port: udpPort, stream, number });
    }
    await eventually(async () =>
      assert.equal(await inner.call("heard", { stream }), numbers.length),
    );
    assert.equal((await world.rule("cpus", stream)).matched.packets, numbers.length);
    const { redirect: after } = await verdicts(world);
    assert.equal(after.packets - before.redirect.packets, numbers.length);
  }
}

async function captureTest(context: TestContext, lab: Lab, world: World): Promise<void> {
  const { layout } = await world.api.call("status");
  const places = JSON.parse(
    readFileSync(join(world.folder, "state", "socket-maps.json"), "utf8"),
  ) as Record<string, number>;
  const key = places["capture"]! * Limits.SOCKET_QUEUES;
  const map = join(world.pinRoot, layout, "maps", "sockets");

  await context.test("not before it is there", async () => {
    const before = await verdicts(world);
    sendFrames(world.outside, "wire", [frameTo(PORTS.capture, 60)]);
    await eventually(async () => {
      assert.equal((await verdicts(world)).drop.packets - before.drop.packets, 1);
    });
  });

  await context.test("then every one, to the byte", async () => {
    const args = ["eth0", "0", map, String(key)];
    const seen = await printLines(lab, world.node, RECEIVER, ...args);
    const frames = [60, 61, 128, 1514].map((length) => frameTo(PORTS.capture, length));
    const overV6 = packet(eth(), ipv6(), udp({ destinationPort: PORTS.capture }), payload(9));
    sendFrames(world.outside, "wire", [...frames, overV6]);
    for (const frame of [...frames, overV6]) await seen.sees(frame.toString("hex"));
  });
}

/** A datagram from outside, filled up to a length. */
function frameTo(destinationPort: number, length: number): Buffer {
  const head = [ipv4({ source: friend, destination: nodeAddress }), udp({ destinationPort })];
  const size = packet(eth(), ...head).length;
  return packet(eth(), ...head, payload(length - size));
}

async function assertMatched(
  world: World,
  rule: string,
  frames: readonly Uint8Array[],
): Promise<void> {
  const bytes = frames.reduce((sum, { length }) => sum + length, 0);
  const { matched } = await world.rule("aside", rule);
  assert.deepEqual(matched, { packets: frames.length, bytes });
}
