/** An agent that dies while it writes: packets meet the old rules or the new, and the next agent puts all right. */

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { after, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { GracePeriod, TcAction, testRun } from "../../datapath/index.js";
import { Firewall } from "../../operator/apply/firewall.js";
import { RedirectTargets } from "../../operator/apply/redirect-targets.js";
import { RuleSlots } from "../../operator/apply/rule-slots.js";
import { eth, ipv4, packet } from "../support/packets.js";
import { tcp } from "../support/transports.js";
import { openFixture } from "./fixture.js";
import type { PodRule } from "./harness.js";
import type { StormSettings } from "./storm-writer.js";

const script = fileURLToPath(new URL("storm-writer.js", import.meta.url));
const f = await openFixture();
after(() => f.close());
beforeEach(() => f.pods.forget());

const accepts = (rule: string, port: number, from?: readonly string[]): PodRule => ({
  rule,
  action: "Accept",
  ingressOf: ["a"],
  protocols: [{ kind: "tcp", destinationPort: { start: port, end: port } }],
  ...(from && { from }),
});
const denies = (rule: string): PodRule => ({ rule, action: "Drop", ingressOf: ["a"] });
const block = (third: number) => [`198.51.${third}.0/24`];

/** Each rule of the one is at another bit in the other, over two words and more; so are ports' and addresses' classes. */
const OLD = [
  ...Array.from({ length: 90 }, (_, at) => accepts(`old-${at}`, 1000 + at, block(at % 40))),
  accepts("both", 3000, block(1)),
  denies("old-isolation"),
];
const NEW = [
  accepts("new-only", 2000),
  ...Array.from({ length: 70 }, (_, at) => accepts(`new-${at}`, 2001 + at, block(at % 50))),
  accepts("both", 3000, block(1)),
  denies("new-isolation"),
];

/** Port of a packet from 198.51.1.1 to a, and what it meets under each. */
const PROBES = [
  { port: 3000, old: "pass both", new: "pass both" },
  { port: 1001, old: "pass old-1", new: "drop new-isolation" },
  { port: 1041, old: "pass old-41", new: "drop new-isolation" },
  { port: 2000, old: "drop old-isolation", new: "pass new-only" },
  { port: 2002, old: "drop old-isolation", new: "pass new-1" },
  { port: 2052, old: "drop old-isolation", new: "pass new-51" },
  { port: 9, old: "drop old-isolation", new: "drop new-isolation" },
] as const;

describe("an agent that dies at a step of writing", () => {
  /** A use of the tables is a step; a change in place has about as many as one that builds all anew. */
  const STEPS = Array.from({ length: 9 }, (_, at) => 1 + 41 * at);

  for (const [how, start] of [
    ["all anew, as the first change of an agent", undefined],
    ["in place", OLD],
  ] as const) {
    it(`${how}: leaves the old rules or the new ones, and the next one's are in force whole`, async () => {
      await f.pods.apply(NEW);
      await f.pods.apply(OLD);
      const seen: string[] = [];
      for (const step of [...STEPS, Number.POSITIVE_INFINITY]) {
        await dieAt(step, start, NEW);
        const met = meet(PROBES);
        const which = (["old", "new"] as const).find((side) =>
          met.every((one, at) => one === PROBES[at]![side]),
        );
        assert.ok(which !== undefined, `neither at step ${step}: ${met.join(", ")}`);
        seen.push(which);
        await dieAt(Number.POSITIVE_INFINITY, undefined, OLD);
        assert.deepEqual(
          meet(PROBES),
          PROBES.map((probe) => probe.old),
          `after step ${step}`,
        );
      }
      assert.ok(seen.filter((which) => which === "old").length > 3, seen.join());
      assert.equal(seen.at(-1), "new");
    });
  }
});

describe("an agent that is killed in a storm of changes", () => {
  it("every packet meets the old rules or the new, also between two agents", async () => {
    const settings: StormSettings = {
      pinRoot: f.pinRoot,
      pods: ["a", "b", "c"].map((name) => f.pods.pod(name)),
      rules: [NEW, OLD],
      once: false,
    };
    const seen = new Map<string, number>();
    for (let kill = 0; kill < 3; kill++) {
      const child = fork(script, [JSON.stringify(settings)]);
      const exited = once(child, "exit");
      const messages: unknown[] = [];
      child.on("message", (message) => messages.push(message));
      try {
        /* Not right after a change, but somewhere in the next one. */
        while (messages.length < 4 && child.exitCode === null) {
          look(seen);
          await sleep(2);
        }
        await sleep(Math.random() * 10);
      } finally {
        child.kill("SIGKILL");
      }
      assert.deepEqual(await exited, [null, "SIGKILL"]);
      look(seen);
    }
    assert.ok(seen.has("old") && seen.has("new"), JSON.stringify([...seen]));
    const last = fork(script, [JSON.stringify({ ...settings, once: true })]);
    assert.deepEqual(await once(last, "exit"), [0, null]);
    assert.deepEqual(
      meet(PROBES),
      PROBES.map((probe) => probe.new),
    );
  });
});

/** Each packet by itself: between two of them the rules may change. */
function look(seen: Map<string, number>): void {
  for (const probe of PROBES) {
    const [met] = meet([probe]);
    assert.ok(met === probe.old || met === probe.new, `port ${probe.port}: ${met}`);
    if (probe.old === probe.new) continue;
    const which = met === probe.old ? "old" : "new";
    seen.set(which, (seen.get(which) ?? 0) + 1);
  }
}

/** Changes the rules as a new agent, which ends at a step of its last change: a use of the tables. */
async function dieAt(
  lastStep: number,
  start: readonly PodRule[] | undefined,
  rules: readonly PodRule[],
): Promise<void> {
  const { datapath } = f.pods;
  let steps = Number.NEGATIVE_INFINITY;
  const mortal = new Proxy(datapath, {
    get(target, name) {
      if (++steps >= lastStep) throw new Error("killed");
      return Reflect.get(target, name) as unknown;
    },
  });
  const grace = new GracePeriod();
  const slots = new RuleSlots(datapath, () => {});
  const targets = new RedirectTargets(datapath, new Map(), () => undefined);
  const firewall = new Firewall(mortal, grace, slots, targets);
  try {
    if (start !== undefined) await f.pods.apply(start, { firewall });
    steps = 0;
    await f.pods.apply(rules, { firewall });
  } catch (error) {
    assert.match(String(error), /killed/);
  } finally {
    await firewall.settle().catch(() => {});
    grace.close();
  }
}

/** `pass RULE` or `drop RULE`, of the rule that counted it. */
function meet(probes: readonly { readonly port: number }[]): readonly string[] {
  const { datapath } = f.pods;
  const { index } = f.pods.pod("a");
  const slots = new RuleSlots(datapath, () => {});
  return probes.map(({ port }) => {
    const names = namesAt(port);
    const count = () =>
      names.map((rule) => {
        const cpus = datapath.ruleCounters.lookup(slots.find({ policy: "test", rule })!) ?? [];
        return cpus.reduce((sum, { packets }) => sum + packets, 0n);
      });
    const contextBytes = Buffer.alloc(192);
    contextBytes.writeUInt32LE(f.uplink, 36);
    contextBytes.writeUInt32LE(index, 40);
    const before = count();
    const { verdict } = f.node.enter(() =>
      testRun(datapath.podIn, { packet: frame(port), contextBytes }),
    );
    const now = count();
    f.pods.forget();
    const hit = names.filter((_, at) => now[at] !== before[at]);
    return `${verdict === TcAction.shot ? "drop" : "pass"} ${hit.join(" and ")}`;
  });
}

function namesAt(port: number): readonly string[] {
  const probe = PROBES.find((one) => one.port === port)!;
  return [...new Set([probe.old, probe.new].map((text) => text.split(" ")[1]!))];
}

function frame(destinationPort: number): Buffer {
  const ends = { source: "198.51.1.1", destination: f.address("a", 4) };
  const head = eth({ source: f.gateway, destination: f.mac("a") });
  return packet(head, ipv4(ends), tcp({ destinationPort, flags: ["SYN"] }));
}
