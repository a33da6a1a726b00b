import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { closeFd } from "../../datapath/handles.js";
import { openPin, pinObject, unpin } from "../../datapath/pin.js";
import { queryXdp } from "../../datapath/xdp-attach.js";
import type { InterfaceState } from "../../operator/api/engine.js";
import { type Lab, withNamespaces } from "../support/netns.js";
import { objectPath } from "../support/objects.js";
import { eth, ipv4, packet } from "../support/packets.js";
import { udp } from "../support/transports.js";
import {
  type Agent,
  codes,
  connectWire,
  createWorld,
  host,
  policy,
  rename,
  until,
  wire,
  type World,
} from "./world.js";

test("interfaces come, change and go", async (context) => {
  await withNamespaces(async (lab) => {
    const world = await createWorld(lab);
    const enemies = [host(3), ...[1, 2, 4, 5].map((number) => wire(number).enemy)];
    const from = enemies.map((enemy) => `{cidr: ${enemy}/32}`).join(", ");
    world.write(
      "edge.yaml",
      policy("edge", {
        spec: ['interfaces: ["eth*"]'],
        rules: [`{name: enemies, action: Drop, from: [${from}]}`],
      }),
    );
    const agent = world.start();
    await agent.ready();
    await comeAndGo(context, lab, world);
    await foreignPrograms(context, lab, world);
    await redirection(context, lab, world);
    await modes(context, lab, world, agent);
  });
});

async function state({ api }: World, name: string): Promise<InterfaceState | undefined> {
  return (await api.call("status")).interfaces.find((found) => found.name === name);
}

async function untilState(
  world: World,
  name: string,
  what: string,
  holds: (found: InterfaceState) => boolean,
): Promise<InterfaceState> {
  await until(`${name} ${what}`, async () => {
    const found = await state(world, name);
    return found !== undefined && holds(found);
  });
  return (await state(world, name))!;
}

async function comeAndGo(context: TestContext, lab: Lab, world: World): Promise<void> {
  const { node } = world;
  const pin = (index: number) => join(world.pinRoot, "links", `xdp-${index}`);
  const enemyPasses = (number: number) => world.passes(wire(number).enemy, wire(number));

  await context.test(
    "a glob that matches nothing is reported until something matches",
    async () => {
      world.write("spare.yaml", policy("spare", { priority: 9, spec: ['interfaces: ["eth?x"]'] }));
      await until("it is told", async () =>
        (await codes(world, "spare")).includes("SLUICE_NO_INTERFACE_MATCHES"),
      );
      connectWire(lab, world, 1, "eth1x");
      await until(
        "it is not told any more",
        async () => (await codes(world, "spare")).length === 0,
      );
      assert.deepEqual((await world.policy("spare")).interfaces, ["eth1x"]);
      world.remove("spare.yaml");
    },
  );

  await context.test("an interface that appears and matches is judged", async () => {
    await untilState(world, "eth1x", "is attached", ({ attached }) => attached);
    assert.equal(await enemyPasses(1), false);
    assert.ok((await world.policy("edge")).interfaces.includes("eth1x"));
  });

  await context.test(
    "a renamed interface is judged under its new name, if that matches",
    async () => {
      const { index, programId } = (await state(world, "eth1x"))!;
      rename(world, "eth1x", "eth1");
      const renamed = await untilState(world, "eth1", "is known", ({ attached }) => attached);
      assert.deepEqual([renamed.index, renamed.programId], [index, programId]);
      assert.equal(await enemyPasses(1), false);
      assert.deepEqual((await world.policy("edge")).interfaces, ["eth0", "eth1"]);
      rename(world, "eth1", "lan1");
      await until(
        "lan1 is left alone",
        async () => (await world.policy("edge")).interfaces.length === 1,
      );
      assert.equal(await enemyPasses(1), true);
      assert.equal(existsSync(pin(index)), false);
      assert.equal(
        node.enter(() => queryXdp(node.indexOf("lan1")).native),
        undefined,
      );
      rename(world, "lan1", "eth1");
      await untilState(world, "eth1", "is attached again", ({ attached }) => attached);
      assert.equal(await enemyPasses(1), false);
    },
  );

  await context.test("of an interface that goes nothing is left", async () => {
    const { index } = (await state(world, "eth1"))!;
    assert.ok(existsSync(pin(index)));
    node.run("ip", "link", "delete", "eth1");
    await until("eth1 is gone", async () => (await state(world, "eth1")) === undefined);
    assert.equal(existsSync(pin(index)), false);
    const { tables } = await world.api.call("status");
    assert.equal(tables.find(({ name }) => name === "interfaces")?.used, 1);
  });

  await context.test("one that takes the number of another at once begins anew", async () => {
    connectWire(lab, world, 1, "eth1");
    await untilState(world, "eth1", "is attached", ({ attached }) => attached);
    assert.equal(await enemyPasses(1), false);
    const { index, verdicts } = (await state(world, "eth1"))!;
    assert.ok(verdicts.drop.packets > 0);
    const { name } = world.outside;
    const peer = `type veth peer name wire1 netns ${name}`;
    node.run(
      ...(["sh", "-c"] as const),
      `printf 'link delete eth1\\nlink add eth1 index ${index} ${peer}\\n' | ip -batch -`,
    );
    const fresh = await untilState(
      world,
      "eth1",
      "is attached anew",
      ({ attached, verdicts: counted }) => attached && counted.drop.packets === 0,
    );
    assert.equal(fresh.index, index);
    assert.ok(
      node.enter(() => queryXdp(node.indexOf("eth1")).native),
      "it has no program",
    );
  });
}

async function foreignPrograms(context: TestContext, lab: Lab, world: World): Promise<void> {
  const { node } = world;
  const attach = (name: string, how: string) =>
    node.run("ip", "link", "set", "dev", name, how, "obj", objectPath("drop-tcp"), "sec", "xdp");
  const judge = (name: string) => rename(world, `x${name}`, name);
  const programs = (name: string) => node.enter(() => queryXdp(node.indexOf(name)));

  await context.test(
    "a foreign program is reported and stays, and once it goes Sluice comes",
    async () => {
      connectWire(lab, world, 2, "xeth2");
      attach("xeth2", "xdpdrv");
      const { native } = programs("xeth2");
      judge("eth2");
      const refused = await untilState(
        world,
        "eth2",
        "is refused",
        ({ message }) => message !== undefined,
      );
      assert.deepEqual([refused.attached, refused.mode], [false, "none"]);
      assert.match(refused.message ?? "", /already has native program drop_tcp/);
      assert.equal(programs("eth2").native, native);
      assert.equal(await world.passes(wire(2).enemy, wire(2)), true);
      node.run("ip", "link", "set", "dev", "eth2", "xdpdrv", "off");
      await untilState(world, "eth2", "is attached", ({ attached }) => attached);
      assert.equal(await world.passes(wire(2).enemy, wire(2)), false);
    },
  );

  await context.test(
    "a foreign program in generic mode keeps native mode out, which is reported",
    async () => {
      connectWire(lab, world, 3, "xeth3");
      attach("xeth3", "xdpgeneric");
      judge("eth3");
      const refused = await untilState(
        world,
        "eth3",
        "is refused",
        ({ message }) => message !== undefined,
      );
      assert.match(refused.message ?? "", /generic program drop_tcp.*exclude each other/);
      assert.ok(programs("eth3").generic);
      assert.equal(programs("eth3").native, undefined);
      node.run("ip", "link", "delete", "eth3");
    },
  );
}

async function redirection(context: TestContext, lab: Lab, world: World): Promise<void> {
  await context.test("a redirect acts when its target appears", async () => {
    const frame = packet(eth(), ipv4({ source: host(4), destination: "10.9.0.1" }), udp());
    const request = { frame: frame.toString("base64"), interface: "eth0" };
    const traced = async () => {
      const { verdict, reason } = await world.api.call("trace", request);
      return `${verdict} ${reason}`;
    };
    world.write(
      "redirect.yaml",
      policy("redirect", {
        priority: 5,
        rules: [
          `{name: on, action: Redirect, redirect: {interface: tap9}, from: [{cidr: ${host(4)}/32}]}`,
        ],
      }),
    );
    await until("it is told", async () =>
      (await codes(world, "redirect")).includes("SLUICE_REDIRECT_TARGET"),
    );
    assert.equal(await traced(), "drop redirect");
    connectWire(lab, world, 9, "tap9");
    await until("packets are redirected", async () => (await traced()) === "redirect rule");
    assert.deepEqual(await codes(world, "redirect"), []);
    world.remove("redirect.yaml");
  });
}

async function modes(context: TestContext, lab: Lab, world: World, first: Agent): Promise<void> {
  await context.test(
    "a driver that refuses the MTU is served in generic mode, and the status says why",
    async () => {
      connectWire(lab, world, 4, "eth4", 9000);
      const { mode, message } = await untilState(
        world,
        "eth4",
        "is attached",
        ({ attached }) => attached,
      );
      assert.equal(mode, "generic");
      assert.match(message ?? "", /MTU of 9000/);
      assert.equal(await world.passes(wire(4).enemy, wire(4)), false);
    },
  );

  await context.test(
    "offload is refused where the driver has none; what is attached stays",
    async () => {
      await first.end("SIGTERM");
      connectWire(lab, world, 5, "eth5");
      const agent = world.start({ flags: { mode: "offload" } });
      await agent.ready();
      const refused = await untilState(
        world,
        "eth5",
        "is refused",
        ({ message }) => message !== undefined,
      );
      assert.deepEqual([refused.attached, refused.requestedMode], [false, "offload"]);
      assert.match(refused.message ?? "", /cannot run programs on the card/);
      assert.equal(await world.passes(wire(5).enemy, wire(5)), true);
      const old = (await state(world, "eth0"))!;
      assert.equal(old.mode, "native");
      assert.match(old.message ?? "", /stays in native mode/);
      assert.equal(await world.passes(host(3)), false);
      await agent.end("SIGTERM");
    },
  );

  connectWire(lab, world, 6, "eth6");
  const stray = join(world.pinRoot, "links", `xdp-${world.node.indexOf("eth6")}`);
  putStrayPin(world.pinRoot, stray);

  await context.test("an agent of generic mode attaches in generic mode", async () => {
    await world.start({ flags: { mode: "generic" } }).ready();
    const { mode, message } = await untilState(
      world,
      "eth5",
      "is attached",
      ({ attached }) => attached,
    );
    assert.deepEqual([mode, message], ["generic", undefined]);
    assert.equal(await world.passes(wire(5).enemy, wire(5)), false);
    assert.equal((await state(world, "eth0"))?.mode, "native");
  });

  await context.test("a stray pin in the place of a link is reported and left alone", async () => {
    const { attached, message } = (await state(world, "eth6"))!;
    assert.equal(attached, false);
    assert.match(message ?? "", /cannot pin at .*: the name is taken/);
    assert.equal(await world.passes(host(3)), false);
    unpin(stray);
    rename(world, "eth6", "eth6x");
    await untilState(world, "eth6x", "is attached", (found) => found.attached);
  });
}

/** Pins one of the agent's tables at a path. */
function putStrayPin(pinRoot: string, path: string): void {
  const layout = readdirSync(pinRoot).find((name) => name !== "links") ?? "";
  const map = openPin(join(pinRoot, layout, "maps", "limits"), "map");
  pinObject(map, path);
  closeFd(map);
}
