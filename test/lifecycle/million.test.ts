import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { withNamespaces } from "../support/netns.js";
import { eth, ipv4, packet } from "../support/packets.js";
import { udp } from "../support/transports.js";
import {
  type Agent,
  cidrSet,
  createWorld,
  drop,
  dropSet,
  host,
  nodeAddress,
  policy,
  type World,
} from "./world.js";

const objects = 20;
const entriesPerObject = 50_000;

test("a million entries, of which a tenth are duplicates and many overlap", async (context) => {
  await withNamespaces(async (lab) => {
    const world = await createWorld(lab);
    world.write("edge.yaml", policy("edge", { rules: [drop("edge", host(3))] }));
    const first = world.start();
    await first.ready();
    const { generation } = await world.api.call("status");
    await first.end("SIGTERM");
    const members = writeSets(world);
    const agent = world.start();
    await beforeSync(context, world, agent, generation);
    await agent.ready();
    await judged(context, world, members);
  });
});

async function beforeSync(
  context: TestContext,
  world: World,
  agent: Agent,
  generation: number,
): Promise<void> {
  await context.test("nothing is written before the source has told everything", async () => {
    let looks = 0;
    for (;;) {
      const status = await world.api.call("status").catch(() => undefined);
      if (status?.pid !== agent.pid) {
        await sleep(10);
        continue;
      }
      if (status.inSync) break;
      /* Whatever else happens on the node is no reason to write, either. */
      world.node.run("ip", "link", "set", "lo", looks % 2 === 0 ? "down" : "up");
      const isJudged = !(await world.passes(host(3)));
      const isListed = !(await world.passes(host(4)));
      const after = await world.api.call("status");
      if (after.inSync) break;
      assert.equal(after.generation, generation);
      assert.deepEqual([isJudged, isListed], [true, false]);
      looks++;
    }
    assert.ok(looks > 0, "the source was too fast to be looked at");
  });
}

async function judged(context: TestContext, world: World, members: Members): Promise<void> {
  await context.test("the set is all of its objects", async () => {
    const [bulk] = await world.api.call("sets");
    assert.equal(bulk?.objects.length, objects);
    assert.equal(bulk.ipv4Prefixes, members.written);
    assert.ok(members.written - members.prefixes.size >= members.written / 10);
  });

  await context.test("members are dropped and others pass", async () => {
    assert.equal(await world.passes(host(3)), false);
    assert.equal(await world.passes(host(4)), false);
    assert.equal(await world.passes(host(5)), true);
    const random = generator(2);
    const written = [...members.prefixes].slice(0, 5000);
    let dropped = 0;
    for (let at = 0; at < 400; at++) {
      const text = written[Math.floor(random() * written.length)]!;
      /* Half the addresses lie in a prefix or close to it, the others anywhere. */
      const near = toNumber(text.split("/")[0]!) + Math.floor(random() * 8);
      const address = at % 2 === 0 ? near : randomAddress(random);
      const expected = members.has(address) ? "drop" : "pass";
      const frame = packet(
        eth(),
        ipv4({ source: toText(address), destination: nodeAddress }),
        udp(),
      );
      const request = { frame: frame.toString("base64"), interface: "eth0" };
      const { verdict } = await world.api.call("trace", request);
      assert.equal(verdict, expected, toText(address));
      if (verdict === "drop") dropped++;
    }
    assert.ok(dropped > 50 && dropped < 350, String(dropped));
  });
}

interface Members {
  readonly written: number;
  /** Without duplicates. */
  readonly prefixes: ReadonlySet<string>;
  has(address: number): boolean;
}

/** Writes the objects of one set; it holds `host(4)`. */
function writeSets(world: World): Members {
  const random = generator(1);
  const prefixes = new Set<string>();
  const list: string[] = [];
  const add = (text: string) => {
    list.push(text);
    prefixes.add(text);
  };
  add(`${host(4)}/32`);
  while (list.length < objects * entriesPerObject) {
    if (random() < 0.12) add(list[Math.floor(random() * list.length)]!);
    else add(randomPrefix(random, list));
  }
  for (let part = 0; part < objects; part++) {
    const cidrs = list.slice(part * entriesPerObject, (part + 1) * entriesPerObject);
    world.write(`bulk${part}.json`, cidrSet(`bulk${part}`, cidrs, { setName: "bulk" }));
  }
  world.write("bulk.yaml", policy("bulk", { rules: [dropSet("bulk", "bulk")] }));
  return {
    written: list.length,
    prefixes,
    has: (address) =>
      [16, 24, 28, 32].some((length) =>
        prefixes.has(`${toText(network(address, length))}/${length}`),
      ),
  };
}

/** Single addresses for the most part, and blocks around some that are listed already. */
function randomPrefix(random: () => number, list: readonly string[]): string {
  const kind = random();
  if (kind < 0.8) return `${toText(randomAddress(random))}/32`;
  const length = kind < 0.9 ? 28 : kind < 0.9999 ? 24 : 16;
  const other = list[Math.floor(random() * list.length)]!.split("/")[0]!;
  const near = random() < 0.5 ? toNumber(other) : randomAddress(random);
  return isHome(near)
    ? `${toText(randomAddress(random))}/32`
    : `${toText(network(near, length))}/${length}`;
}

/** Not of the test's own network, whose addresses send real packets. */
function randomAddress(random: () => number): number {
  const address = (0x0b00_0000 + random() * 0xc000_0000) >>> 0;
  return isHome(address) ? address + 0x0100_0000 : address;
}

function isHome(address: number): boolean {
  return address >>> 24 === 10;
}

function network(address: number, length: number): number {
  return address - (address % 2 ** (32 - length));
}

function toText(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}

function toNumber(text: string): number {
  return text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** The same numbers from 0 to 1 in every run: mulberry32. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}
