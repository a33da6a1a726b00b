import assert from "node:assert/strict";
import { existsSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { type Lab, withNamespaces } from "../support/netns.js";
import { compileNextVersion, copyBuild, removeObject } from "./other-build.js";
import { watchUplink } from "./uplink-watch.js";
import {
  type AgentOptions,
  createWorld,
  drop,
  friend,
  host,
  nodeAddress,
  policy,
  udpPort,
  type World,
} from "./world.js";

const attacker = host(3);
const counted = host(4);
const perSecond = 200;
const otherLayout = "0123456789ab";

test("under traffic, whatever becomes of the agent", async (context) => {
  await withNamespaces(async (lab) => {
    const world = await createWorld(lab);
    await scenario(context, lab, world);
  });
});

async function scenario(context: TestContext, lab: Lab, world: World): Promise<void> {
  const { api, pinRoot, folder, inner, outer } = world;
  writePolicies(world);
  let agent = world.start();
  await agent.ready();
  const { confirmBy } = await world.policy("trial");

  await context.test("a version that nobody confirms gives way to the one before", async () => {
    world.write("swap.yaml", swap("second", host(7), ["confirmWithin: 1s"]));
    await world.untilPasses(host(7), false);
    await world.untilPasses(host(7), true);
    assert.equal(await world.passes(host(6)), false);
  });

  await inner.call("serveHttp", { port: 8080 });
  const watch = watchUplink(lab, world);
  const link = watch.link();
  await startTraffic(world);

  const restart = async (signal: NodeJS.Signals, options?: AgentOptions) => {
    const before = await hits(world);
    await agent.end(signal);
    agent = world.start(options);
    await agent.ready();
    const after = await hits(world);
    assert.ok(after.attacker > before.attacker, `${before.attacker} then ${after.attacker}`);
    assert.ok(after.counted > before.counted, `${before.counted} then ${after.counted}`);
    assert.equal((await api.call("status")).interfaces[0]?.programId, watch.program());
  };

  await context.test(
    "kill -9: counters go on, and a trial is neither renewed nor confirmed",
    async () => {
      await restart("SIGKILL");
      assert.ok(confirmBy);
      assert.equal((await world.policy("trial")).confirmBy, confirmBy);
      assert.equal(await world.passes(host(5)), false);
    },
  );

  await context.test("what a rolled-back policy went back to outlives the agent", async () => {
    assert.equal((await world.policy("swap")).rolledBack, true);
    assert.equal(await world.passes(host(6)), false);
    assert.equal(await world.passes(host(7)), true);
  });

  await context.test("SIGTERM: counters go on", () => restart("SIGTERM"));

  await context.test("an upgrade puts the new program in the place of the old", async () => {
    const program = watch.program();
    const build = copyBuild(join(folder, "next"));
    compileNextVersion(join(folder, "next"), build);
    await restart("SIGTERM", { script: build.script });
    assert.notEqual(watch.program(), program);
  });

  await context.test("until here each packet is on its counter", async () => {
    const sent = await outer.call("endStream", { stream: "attack" });
    assert.ok(await world.passes(friend));
    assert.equal((await hits(world)).attacker, sent);
    await outer.call("startStream", { ...streamFrom(attacker), stream: "attack" });
  });

  await context.test("an upgrade to another table layout takes the counters along", async () => {
    const { layout } = await api.call("status");
    const before = await hits(world);
    await agent.end("SIGTERM");
    renameSync(join(pinRoot, layout), join(pinRoot, otherLayout));
    agent = world.start();
    await agent.ready();
    assert.ok((await hits(world)).attacker > before.attacker);
    assert.deepEqual(readdirSync(pinRoot).sort(), [layout, "links"].sort());
  });

  await agent.end("SIGTERM");
  for (const { what, options, says } of refusedStarts(world)) {
    await context.test(`an agent with ${what} says so and leaves traffic alone`, async () => {
      const refused = world.start(options());
      assert.equal(await refused.exited, 1, refused.log());
      for (const pattern of says) assert.match(refused.log(), pattern);
    });
  }

  await context.test(
    "no packet was lost, none was let through, and the link never changed",
    async () => {
      const pages = await outer.call("endBrowsing", {});
      assert.ok(pages.sent > 20, String(pages.sent));
      assert.deepEqual(pages.failures, []);
      assert.equal(pages.synRetransmits, 0);
      for (const stream of ["friend", "counted"]) {
        const sent = await outer.call("endStream", { stream });
        assert.ok(sent > perSecond, String(sent));
        assert.ok(await world.passes(friend));
        const came = await inner.call("heard", { stream });
        assert.equal(came + (await inner.call("overflows", {})), sent, stream);
      }
      assert.equal(await inner.call("heard", { stream: "attack" }), 0);
      assert.ok(watch.looks() > 100, String(watch.looks()));
      assert.equal(watch.gaps(), 0);
      assert.equal(watch.link(), link);
      assert.ok(existsSync(join(pinRoot, "links")));
    },
  );
}

function writePolicies(world: World): void {
  const rules = [
    drop("attacker", attacker),
    `{name: counted, action: Pass, from: [{cidr: ${counted}/32}]}`,
  ];
  world.write("edge.yaml", policy("edge", { rules }));
  world.write(
    "trial.yaml",
    policy("trial", {
      priority: 110,
      spec: ["confirmWithin: 1h"],
      rules: [drop("trial", host(5))],
    }),
  );
  world.write("swap.yaml", swap("first", host(6)));
}

function swap(rule: string, address: string, spec: readonly string[] = []): string {
  return policy("swap", { priority: 120, spec, rules: [drop(rule, address)] });
}

function streamFrom(from: string) {
  return { from, to: nodeAddress, port: udpPort, perSecond };
}

async function startTraffic({ outer }: World): Promise<void> {
  await outer.call("startStream", { ...streamFrom(friend), stream: "friend" });
  await outer.call("startStream", { ...streamFrom(counted), stream: "counted" });
  await outer.call("startStream", { ...streamFrom(attacker), stream: "attack" });
  await outer.call("browse", { url: `http://${nodeAddress}:8080/`, perSecond: 20 });
}

async function hits(world: World) {
  const packets = async (name: string) => (await world.rule("edge", name)).matched.packets;
  return { attacker: await packets("attacker"), counted: await packets("counted") };
}

interface RefusedStart {
  readonly what: string;
  readonly options: () => AgentOptions;
  readonly says: readonly RegExp[];
}

/** Run in their order, after the agent has ended. */
function refusedStarts({ pinRoot, folder }: World): readonly RefusedStart[] {
  const pin = (name: string) => {
    const layout = readdirSync(pinRoot).find((entry) => entry !== "links") ?? "";
    return join(pinRoot, layout, "maps", name);
  };
  return [
    {
      what: "a table of another shape among its pins",
      options() {
        renameSync(pin("rules"), pin("kept"));
        renameSync(pin("limits"), pin("rules"));
        return {};
      },
      says: [/SLUICE_MAP_LAYOUT/, /rules/],
    },
    {
      what: "no BPF object",
      options() {
        const build = copyBuild(join(folder, "broken"));
        removeObject(build);
        return { script: build.script };
      },
      says: [/uplink\.o/, /npm run build/],
    },
    {
      what: "no capabilities",
      options: () => ({ wrapper: ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] }),
      says: [/SLUICE_NO_CAPABILITY/, /CAP_BPF/],
    },
    {
      what: "no bpffs",
      options: () => ({
        wrapper: ["unshare", "--mount", "sh", "-c", 'umount -l /sys/fs/bpf && exec "$@"', "sh"],
      }),
      says: [/SLUICE_NO_BPFFS/, /mount -t bpf/],
    },
  ];
}
