/** Flows of another table layout: carried over field by field, and judged again once by the rules here. */

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import pino from "pino";
import { type Flow, FlowFlags } from "../../datapath/generated/layout.js";
import { BpfMap, BpfObject, closeFd, createMap, MapType, openPin } from "../../datapath/index.js";
import { pinObject } from "../../datapath/pin.js";
import { FlowCarrier } from "../../operator/apply/flow-carrier.js";
import { objectPath } from "../support/objects.js";
import { tcp, type TcpFlag } from "../support/transports.js";
import { openFixture } from "./fixture.js";
import { type Met, type PodRule, words } from "./harness.js";

const f = await openFixture();
after(() => f.close());
const log = pino({ level: "silent" });
const bank = f.pods.datapath.folder;
const pinRoot = dirname(dirname(bank));
const otherLayout = join(pinRoot, "0123456789ab");
const oldBank = join(otherLayout, "pods");
const STALE = 0xffffffff;

mkdirSync(oldBank, { recursive: true });
const object = BpfObject.open(objectPath("flows-fixture"));
object.map("flows").setPinPath(join(oldBank, "flows"));
await object.load();
object.close();
const old = BpfMap.raw(openPin(join(oldBank, "flows"), "map"));
after(() => old.close());

/** a may open connections to b's port 80. */
const rules: readonly PodRule[] = [
  {
    rule: "web",
    action: "Accept",
    egressOf: ["a"],
    ingressOf: ["b"],
    protocols: [{ kind: "tcp", destinationPort: { start: 80, end: 80 } }],
  },
  { rule: "nothing else", action: "Drop", egressOf: ["a", "b"], ingressOf: ["a", "b"] },
];

interface OldFlow {
  readonly from?: string;
  readonly to?: string;
  readonly port?: number;
  readonly localPort?: number;
  readonly outGeneration?: number;
  readonly inGeneration?: number;
  /** Since its last packet. */
  readonly quietSeconds?: number;
}

/** A connection as programs of the other layout remember it. */
function remember(flow: OldFlow = {}): void {
  const { from = "a", to = "b", port = 80, localPort = 40_000, quietSeconds = 1 } = flow;
  const { outGeneration = 7, inGeneration = 7 } = flow;
  const key = Buffer.alloc(44);
  key.writeUInt8(4, 0);
  key.writeUInt8(6, 1);
  key.writeUInt32LE(localPort, 4);
  key.writeUInt32LE(port, 8);
  key.writeUInt32LE(words(f.address(to, 4))[0]!, 12);
  key.writeUInt32LE(words(f.address(from, 4))[0]!, 28);
  const value = Buffer.alloc(96);
  value.writeUInt32LE(11, 4);
  value.writeUInt32LE(inGeneration, 8);
  value.writeUInt32LE(12, 16);
  value.writeUInt32LE(outGeneration, 20);
  value.writeUInt16LE(21_600, 24);
  value.writeUInt8(FlowFlags.FLOW_REPLIED, 26);
  value.writeUInt32LE(99, 28);
  const lastNs = process.hrtime.bigint() - BigInt(quietSeconds) * 1_000_000_000n;
  value.writeBigUInt64LE(lastNs, 32);
  value.writeBigUInt64LE(lastNs - 5n, 40);
  value.writeUInt32LE(1000, 48);
  value.writeUInt32LE(60_000, 52);
  value.writeUInt16LE(localPort, 56);
  value.writeUInt16LE(443, 58);
  value.writeUInt32LE(words(f.address(from, 4))[0]!, 60);
  value.writeUInt32LE(words("192.0.2.1")[0]!, 76);
  old.update(key, value);
}

function open(): FlowCarrier {
  const carrier = FlowCarrier.open(pinRoot, bank, log);
  assert.ok(carrier !== undefined);
  return carrier;
}

async function carry(): Promise<number> {
  const carrier = open();
  try {
    return await carrier.copyAll();
  } finally {
    carrier.close();
  }
}

const steps = ({ steps: found }: Met) =>
  found.map(({ at, verdict, reason }) => `${at} ${verdict} ${reason}`);
const request = (...flags: readonly TcpFlag[]) =>
  f.out("a", f.packetOf("a", "b", 4, tcp({ flags })));
const answer = (...flags: readonly TcpFlag[]) =>
  f.out("b", f.packetOf("b", "a", 4, tcp({ sourcePort: 80, destinationPort: 40_000, flags })));
const onwards = ["a:out pass flow", "b:in pass flow"];
const reply = ["b:out pass flow", "a:in pass flow"];
const ends = ({ out, in: into }: Flow) => [out.generation, into.generation];

beforeEach(async () => {
  f.pods.forget();
  old.deleteAll([...old.keys()]);
  await f.pods.apply(rules);
});

describe("a flow of another layout", () => {
  it("is carried field by field, by their names", async () => {
    remember();
    assert.equal(await carry(), 1);
    const [[key, flow] = assert.fail("nothing came")] = f.pods.flows();
    assert.deepEqual(key, {
      local: words(f.address("a", 4)),
      remote: words(f.address("b", 4)),
      localPort: 40_000,
      remotePort: 80,
      protocol: 6,
      family: 4,
    });
    const { lastNs, createdNs, openedAs, ...rest } = flow;
    assert.deepEqual([openedAs.sourcePort, ...openedAs.source], [0, 0, 0, 0, 0]);
    assert.equal(lastNs - createdNs, 5n);
    assert.deepEqual(rest, {
      packetsForth: 1000n,
      bytesForth: 60_000n,
      packetsBack: 0n,
      bytesBack: 0n,
      out: { generation: STALE, slot: 0 },
      in: { generation: STALE, slot: 0 },
      lifetimeS: 21_600,
      flags: FlowFlags.FLOW_REPLIED,
      openedAs: {
        source: words(f.address("a", 4)),
        destination: words("192.0.2.1"),
        sourcePort: 40_000,
        destinationPort: 443,
      },
    });
  });

  it("is judged again once by its next packet, an answer too", async () => {
    remember();
    await carry();
    assert.deepEqual(steps(answer("ACK")), ["b:out pass rule", "a:in pass rule"]);
    assert.deepEqual(steps(answer("ACK")), reply);
    assert.deepEqual(steps(request("ACK")), onwards);
  });

  it("that the rules here refuse is cut", async () => {
    remember({ port: 81, localPort: 40_001 });
    await carry();
    const late = f.packetOf(
      "a",
      "b",
      4,
      tcp({ sourcePort: 40_001, destinationPort: 81, flags: ["ACK"] }),
    );
    assert.deepEqual(steps(f.out("a", late)), ["a:out drop rule"]);
    assert.deepEqual(f.pods.flows(), []);
  });

  it("whose answers nobody asked about is asked for none", async () => {
    remember({ outGeneration: 0 });
    await carry();
    assert.deepEqual(ends(f.pods.flow({ protocol: 6 })!), [0, STALE]);
    assert.deepEqual(steps(answer("ACK")), ["b:out pass rule", "a:in drop rule"]);
  });

  it("that programs of this layout have opened too stays theirs, but for ends that they did not ask", async () => {
    request("SYN");
    const before = f.pods.flow({ protocol: 6 })!;
    remember();
    assert.equal(await carry(), 0);
    assert.deepEqual(f.pods.flow({ protocol: 6 }), before);
    const [[key] = assert.fail()] = f.pods.flows();
    f.pods.datapath.flows.update(key, { ...before, in: { generation: 0, slot: 0 } });
    assert.equal(await carry(), 0);
    const filled = f.pods.flow({ protocol: 6 })!;
    assert.deepEqual(ends(filled), [before.out.generation, STALE]);
    assert.equal(filled.packetsForth, before.packetsForth);
  });

  it("that came after the first copy comes with the next one, which looks at nothing older", async () => {
    remember();
    const carrier = open();
    try {
      assert.equal(await carrier.copyAll(), 1);
      remember({ localPort: 40_001, quietSeconds: 3600 });
      remember({ localPort: 40_002, quietSeconds: 0 });
      assert.equal(carrier.copyNew(), 1);
      assert.deepEqual(
        f.pods
          .flows()
          .map(([{ localPort }]) => localPort)
          .sort((a, b) => a - b),
        [40_000, 40_002],
      );
      assert.equal(carrier.copyNew(), 0);
    } finally {
      carrier.close();
    }
  });

  it("comes with thousands of others in slices", async () => {
    for (let number = 0; number < 3000; number++) remember({ localPort: number + 1 });
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    assert.equal(await carry(), 3000);
    clearInterval(timer);
    assert.equal(f.pods.flows().length, 3000);
    assert.ok(turns > 0);
  });
});

describe("tables of another layout", () => {
  it("without a description of their fields are left behind", async () => {
    const layout = join(pinRoot, "fedcba987654", "pods");
    mkdirSync(layout, { recursive: true });
    const fd = createMap({
      name: "flows",
      type: MapType.hash,
      keySize: 44,
      valueSize: 72,
      maxEntries: 1,
      mapFlags: 0,
    });
    pinObject(fd, join(layout, "flows"));
    closeFd(fd);
    const carrier = open();
    assert.deepEqual(carrier.folders, [layout, oldBank].sort());
    assert.equal(await carrier.copyAll(), 0);
    carrier.close();
  });

  it("are freed when it is said, and nothing else is", () => {
    mkdirSync(join(otherLayout, "maps"));
    const carrier = open();
    carrier.removeOld();
    carrier.close();
    assert.deepEqual(readdirSync(otherLayout), ["maps"]);
    assert.equal(existsSync(join(pinRoot, "fedcba987654")), false);
    assert.ok(existsSync(join(bank, "flows")));
    assert.equal(FlowCarrier.open(pinRoot, bank, log), undefined);
  });
});
