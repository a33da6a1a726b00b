/**
 * Sends the hostile traffic out of `eth0` of its namespace: `generator.js OBJECT JSON`, the JSON
 * being {@link TrafficGlobals}. Rates come over the channel; until then nothing is sent.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { u32, u64 } from "../../datapath/codec.js";
import { interfaceByName } from "../../datapath/netlink.js";
import { BpfObject } from "../../datapath/object.js";
import { PerCpuMap, sumCounters } from "../../datapath/per-cpu-map.js";
import type { Program } from "../../datapath/programs.js";
import { testRunLiveAsync } from "../../datapath/test-run.js";
import {
  type AttackKind,
  attackKinds,
  type AttackRates,
  type AttackReport,
  type SetRates,
} from "./messages.js";

/** Globals of traffic.bpf.c by name. */
export type TrafficGlobals = Readonly<Record<string, number>>;

/** Name of the program and bytes of its frames. */
const programs: Readonly<Record<AttackKind, { readonly name: string; readonly length: number }>> = {
  udpFlood: { name: "udp_flood", length: 14 + 20 + 8 + 64 },
  synFlood: { name: "syn_flood", length: 14 + 20 + 20 + 4 },
  portScan: { name: "port_scan", length: 14 + 20 + 20 + 4 },
};

/** MAX_NODES of traffic.bpf.c. */
const nodeSlots = 16;
/** A quarter of the ring of a veth, which holds what the other CPU has not taken yet. */
const batchSize = 64;
const intervalMs = 20;
/** After a stall the time lost is not made up for: a burst would overrun the rings. */
const longestIntervalMs = 250;
const reportIntervalMs = 200;

const [, , objectPath = "", globalsText = "{}"] = process.argv;
const globals = JSON.parse(globalsText) as TrafficGlobals;
const nodeCount = globals.node_count ?? 0;

const object = BpfObject.open(objectPath);
for (const [name, value] of Object.entries(globals)) object.setGlobal(name, value);
await object.load();
const sent = new PerCpuMap(object.takeMap("sent"), u32, u64);
const ingress = interfaceByName("eth0")?.index;
if (ingress === undefined) throw new Error("there is no eth0 here");
const context = { ingress };

let rates: AttackRates = { udpFlood: 0, synFlood: 0, portScan: 0 };
/** Test runs under way; each takes some 20 ms, most of it waiting, so each kind has its own. */
let running = 0;

async function send(kind: AttackKind, program: Program): Promise<never> {
  const packet = Buffer.alloc(programs[kind].length);
  let due = 0;
  for (let last = performance.now(); ; ) {
    await sleep(intervalMs);
    const now = performance.now();
    due =
      rates[kind] === 0 ? 0 : due + (rates[kind] * Math.min(now - last, longestIntervalMs)) / 1000;
    last = now;
    // The kernel runs whole batches, so a slow rate needs small ones.
    const batch = Math.max(1, Math.min(batchSize, Math.floor(due)));
    const repeat = Math.floor(due / batch) * batch;
    if (repeat === 0) continue;
    due -= repeat;
    running++;
    try {
      await testRunLiveAsync(program, { packet, context, repeat }, batch);
    } finally {
      running--;
    }
  }
}

/** Column "drop" of what `eth0` sends, from /proc/net/dev. */
function droppedAtSending(): number {
  const text = readFileSync("/proc/thread-self/net/dev", "utf8");
  const columns = /^\s*eth0:\s*(.*)$/m.exec(text)?.[1]?.split(/\s+/);
  return Number(columns?.[11] ?? 0);
}

function report(): AttackReport {
  const sums = sumCounters(sent);
  const perNode = (kind: AttackKind) => {
    const first = attackKinds.indexOf(kind) * nodeSlots;
    return Array.from({ length: nodeCount }, (_, node) => Number(sums[first + node] ?? 0n));
  };
  return {
    at: Date.now(),
    sent: {
      udpFlood: perNode("udpFlood"),
      synFlood: perNode("synFlood"),
      portScan: perNode("portScan"),
    },
    lost: droppedAtSending(),
    idle: running === 0 && Object.values(rates).every((rate) => rate === 0),
  };
}

process.on("message", (message: SetRates) => {
  rates = message.rates;
});
process.on("disconnect", () => process.exit(0));
process.on("SIGTERM", () => process.exit(0));
setInterval(() => process.send?.(report()), reportIntervalMs);
process.send?.(report());
await Promise.all(attackKinds.map((kind) => send(kind, object.takeProgram(programs[kind].name))));
