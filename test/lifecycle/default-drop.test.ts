import assert from "node:assert/strict";
import { renameSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { type Lab, withNamespaces } from "../support/netns.js";
import type { Peer } from "./peer-process.js";
import {
  connectWire,
  createWorld,
  friend,
  host,
  nodeAddress,
  policy,
  rename,
  until,
  udpPort,
  wire,
  type World,
} from "./world.js";

const tcpPort = 7100;
const answerPort = 7200;

test("a default drop spares what the node opened", async (context) => {
  await withNamespaces(async (lab) => {
    const world = await createWorld(lab);
    connectWire(lab, world, 1, "lan1");
    await world.outer.call("serveTcp", { port: tcpPort });
    await world.outer.call("listen", { port: answerPort });
    await world.inner.call("serveTcp", { port: tcpPort });
    await scenario(context, lab, world);
  });
});

async function scenario(context: TestContext, _lab: Lab, world: World): Promise<void> {
  const { inner, outer, api, pinRoot } = world;
  let agent = world.start();
  await agent.ready();
  const idle = await inner.call("openTcp", { name: "idle", to: friend, port: tcpPort });
  const byLan = await inner.call("openTcp", { name: "by lan", to: wire(1).friend, port: tcpPort });
  const inbound = await outer.call("openTcp", { name: "inbound", to: nodeAddress, port: tcpPort });
  const udp = await inner.call("openUdp", { to: friend, port: answerPort });
  world.write("closed.yaml", closed);
  await world.untilPasses(host(3), false);

  const idleIsAlive = async (text: string) => {
    await outer.call("tellTcp", { name: `accepted ${idle}`, text });
    await untilHears(inner, "idle", text);
  };
  let answers = 0;
  const answerPasses = async (to: string, toPort: number) => {
    const number = ++answers;
    const stream = "answer";
    const before = await inner.call("heard", { stream });
    await outer.call("answer", { port: answerPort, to, toPort, stream, number });
    assert.ok(await world.passes(friend));
    return (await inner.call("heard", { stream })) > before;
  };

  await context.test("a connection that was open and idle before is not cut", async () => {
    await idleIsAlive("from outside");
    await inner.call("tellTcp", { name: "idle", text: "from the node" });
    await untilHears(outer, `accepted ${idle}`, "from the node");
  });

  await context.test("answers reach a connected UDP socket that has sent nothing yet", async () => {
    assert.equal(await answerPasses(nodeAddress, udp), true);
  });

  await context.test("a connection that came from outside is judged by the rules", async () => {
    await outer.call("tellTcp", { name: "inbound", text: "knock" });
    assert.ok(await world.passes(friend));
    assert.equal(await inner.call("heardTcp", { name: `accepted ${inbound}` }), "");
  });

  await context.test(
    "what the node opens afterwards is answered, what nobody asked for is not",
    async () => {
      await inner.call("openTcp", { name: "fresh", to: friend, port: tcpPort });
      assert.equal(await answerPasses(nodeAddress, udp + 1), false);
      const asked = { from: nodeAddress, to: friend, port: answerPort, stream: "asked", number: 1 };
      await inner.call("send", asked);
      await until(
        "the question has come",
        async () => (await outer.call("heard", { stream: "asked" })) === 1,
      );
    },
  );

  await context.test("an interface that is judged later keeps its open connections", async () => {
    rename(world, "lan1", "eth1");
    await until("eth1 is judged", async () =>
      (await world.policy("closed")).interfaces.includes("eth1"),
    );
    assert.equal(await world.passes(wire(1).enemy, wire(1)), false);
    await outer.call("tellTcp", { name: `accepted ${byLan}`, text: "still here" });
    await untilHears(inner, "by lan", "still here");
  });

  await context.test(
    "connections outlive a killed agent and a change of table layout",
    async () => {
      const { layout } = await api.call("status");
      await agent.end("SIGKILL");
      await idleIsAlive("without an agent");
      renameSync(join(pinRoot, layout), join(pinRoot, "0123456789ab"));
      agent = world.start();
      await agent.ready();
      await idleIsAlive("with a new agent");
      assert.equal(await answerPasses(nodeAddress, udp), true);
      assert.equal(await world.passes(host(3)), false);
    },
  );
}

async function untilHears(peer: Peer, name: string, text: string): Promise<void> {
  await until(`${name} hears "${text}"`, async () =>
    (await peer.call("heardTcp", { name })).endsWith(text),
  );
}

/** Accepts only the datagrams of friends, by which the tests see that others did not pass. */
const closed = policy("closed", {
  spec: ['interfaces: ["eth*"]', "defaultAction: Drop"],
  rules: [
    `{name: friends, action: Accept, from: [{cidr: ${friend}/32}, {cidr: ${wire(1).friend}/32}], ` +
      `protocols: [{udp: {destinationPort: {number: ${udpPort}}}}]}`,
  ],
});
