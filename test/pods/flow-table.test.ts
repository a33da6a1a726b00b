/** The table of flows from the agent's side: what is over is collected in slices, and what a full table forgets is counted. */

import assert from "node:assert/strict";
import { after, beforeEach, describe, it } from "node:test";
import pino from "pino";
import type { ConnectionKey, Flow } from "../../datapath/generated/layout.js";
import {
  collectFlows,
  FLOWS_PER_TURN,
  REMOVALS_PER_TURN,
} from "../../operator/apply/flow-collector.js";
import { FlowTable } from "../../operator/apply/flow-table.js";
import { tcp, udp } from "../support/transports.js";
import { openFixture } from "./fixture.js";

const f = await openFixture();
const { flows } = f.pods.datapath;
const table = new FlowTable(f.pods.datapath, pino({ level: "silent" }));
after(async () => {
  await table.close();
  await f.close();
});
beforeEach(() => f.pods.forget());

const { signal } = new AbortController();
const noPause = () => Promise.resolve();
const secondNs = 1_000_000_000n;

function flowQuietFor(seconds: number, lifetimeS = 60): Flow {
  const lastNs = process.hrtime.bigint() - BigInt(Math.round(seconds * 1000)) * 1_000_000n;
  const none = { generation: 0, slot: 0 };
  const counts = { packetsForth: 1n, bytesForth: 60n, packetsBack: 0n, bytesBack: 0n };
  const nobody = [0, 0, 0, 0];
  const openedAs = { source: nobody, destination: nobody, sourcePort: 0, destinationPort: 0 };
  const ends = { out: none, in: none, openedAs };
  return { createdNs: lastNs, lastNs, ...counts, ...ends, lifetimeS, flags: 0 };
}

function keyOf(number: number): ConnectionKey {
  return {
    local: [number, 0, 0, 0],
    remote: [1, 0, 0, 0],
    localPort: 1,
    remotePort: 2,
    protocol: 17,
    family: 4,
  };
}

function fill(count: number, flowOf: (number: number) => Flow): void {
  flows.updateAll(Array.from({ length: count }, (_, number) => [keyOf(number), flowOf(number)]));
}

const numbers = () =>
  f.pods
    .flows()
    .map(([key]) => key.local[0]!)
    .sort((a, b) => a - b);

describe("collection", () => {
  it("takes out what has been quiet for longer than its own lifetime and a second, and nothing else", async () => {
    const quiet = [
      [59, 60],
      [60.5, 60],
      [62, 60],
      [62, 180],
      [12, 10],
      [200, 30],
    ] as const;
    fill(quiet.length, (number) => {
      const [seconds, lifetimeS] = quiet[number]!;
      return flowQuietFor(seconds, lifetimeS);
    });
    assert.deepEqual(await collectFlows(flows, signal, noPause), { kept: 3, expired: 3 });
    assert.deepEqual(numbers(), [0, 1, 3]);
  });

  it("leaves the event loop a turn after a bounded number of looks and removals", async () => {
    const count = 3500;
    fill(count, (number) => flowQuietFor(number % 2 === 0 ? 100 : 0));
    const turns: { looks: number; removals: number }[] = [{ looks: 0, removals: 0 }];
    const counted = {
      *slices(most: number) {
        for (const slice of flows.slices(most)) {
          turns.at(-1)!.looks += slice.count;
          yield slice;
        }
      },
      lookupAndDelete(key: ConnectionKey) {
        turns.at(-1)!.removals++;
        return flows.lookupAndDelete(key);
      },
      update: flows.update.bind(flows),
    };
    const pass = await collectFlows(counted, signal, async () => {
      turns.push({ looks: 0, removals: 0 });
    });
    assert.deepEqual(pass, { kept: count / 2, expired: count / 2 });
    assert.ok(turns.every(({ looks }) => looks <= FLOWS_PER_TURN));
    assert.ok(turns.every(({ removals }) => removals <= REMOVALS_PER_TURN));
    assert.ok(turns.length > count / FLOWS_PER_TURN, String(turns.length));
    assert.equal(
      turns.reduce((sum, { looks }) => sum + looks, 0),
      count,
    );
  });

  it("ends between two turns when it is told to", async () => {
    fill(2000, () => flowQuietFor(100));
    const ending = new AbortController();
    let pauses = 0;
    await collectFlows(flows, ending.signal, async () => {
      if (++pauses === 2) ending.abort();
    });
    assert.equal(f.pods.flows().length, 2000 - 2 * REMOVALS_PER_TURN);
  });

  it("puts a flow back that a packet has renewed after it was read", async () => {
    await f.pods.apply([]);
    f.out("a", f.packetOf("a", "b", 4, udp()));
    f.pods.age(200);
    const renewing = {
      slices: flows.slices.bind(flows),
      lookupAndDelete(key: ConnectionKey) {
        f.out("a", f.packetOf("a", "b", 4, udp()));
        return flows.lookupAndDelete(key);
      },
      update: flows.update.bind(flows),
    };
    assert.deepEqual(await collectFlows(renewing, signal, noPause), { kept: 1, expired: 0 });
    const flow = f.pods.flow({ protocol: 17 });
    assert.ok(flow !== undefined && process.hrtime.bigint() - flow.lastNs < 30n * secondNs);
    assert.notEqual(flow.out.generation, 0);
    assert.notEqual(flow.in.generation, 0);
  });

  it("does not undo what programs made of the flow while it was away", async () => {
    fill(1, () => flowQuietFor(100));
    const made = { ...flowQuietFor(0), packetsForth: 77n };
    const racing = {
      slices: flows.slices.bind(flows),
      lookupAndDelete(key: ConnectionKey) {
        flows.update(key, flowQuietFor(0));
        const found = flows.lookupAndDelete(key);
        flows.update(key, made);
        return found;
      },
      update: flows.update.bind(flows),
    };
    await collectFlows(racing, signal, noPause);
    assert.equal(flows.lookup(keyOf(0))?.packetsForth, 77n);
  });
});

describe("the counts of the table", () => {
  it("follow flows that are opened, refused and over", async () => {
    await f.pods.apply([]);
    const before = table.describe();
    f.out("a", f.packetOf("a", "b", 4, tcp({ flags: ["SYN"] })));
    f.out("a", f.packetOf("a", "b", 4, udp()));
    f.out("a", f.packetOf("a", "b", 4, udp()));
    const opened = table.describe();
    assert.equal(opened.opened - before.opened, 2);
    await f.pods.apply([
      { rule: "no tcp", action: "Drop", egressOf: ["a"], protocols: [{ kind: "tcp" }] },
    ]);
    f.out("a", f.packetOf("a", "b", 4, tcp({ flags: ["ACK"] })));
    assert.equal(table.describe().refused - before.refused, 1);
    f.pods.age(200);
    await table.collect(noPause);
    const after = table.describe();
    assert.deepEqual([after.expired - before.expired, after.entries], [1, 0]);
    assert.equal(after.capacity, 4096);
  });

  it("tell how many flows the full table forgot, which are judged anew", async () => {
    await f.pods.apply([]);
    await table.collect(noPause);
    const before = table.describe();
    const count = 3 * before.capacity;
    for (let port = 1; port <= count; port++) {
      f.send("a", f.packetOf("a", "b", 4, udp({ sourcePort: port })));
    }
    await table.collect(noPause);
    const { entries, capacity, opened, evicted } = table.describe();
    assert.equal(opened - before.opened, count);
    const left = f.pods.flows().length;
    assert.ok(left <= capacity);
    assert.equal(entries, left);
    assert.equal(evicted - before.evicted, count - left);
    const again = f.out("a", f.packetOf("a", "b", 4, udp({ sourcePort: 1 })));
    assert.equal(again.action, "redirect", "a full table drops nothing");
  });
});
