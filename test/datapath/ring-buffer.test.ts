import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Program } from "../../datapath/programs.js";
import { RingBuffer } from "../../datapath/ring-buffer.js";
import { testRun } from "../../datapath/test-run.js";
import { loadObject, mapArray } from "../support/objects.js";
import { eth, packet, payload } from "../support/packets.js";

const frame = packet(eth(), payload(50));

interface Fixture {
  readonly program: Program;
  readonly ring: RingBuffer;
  /** Records that found no room. */
  readonly dropped: () => bigint;
}

async function openRing(context: TestContext): Promise<Fixture> {
  const object = await loadObject(context, "ring-fixture");
  const program = object.takeProgram("write_record");
  const ring = new RingBuffer(object.takeMap("ring"));
  const bss = mapArray(context, object, object.globals(".bss")?.name ?? "");
  context.after(() => {
    program.close();
    ring.close();
  });
  return { program, ring, dropped: () => bss.u64[1] ?? 0n };
}

/** What the program writes: length by number modulo 3, every tenth thrown away. */
function expectedLength(number: number): number {
  return [8, 20, 130][number % 3] as number;
}

test("records come in order, whole, without the discarded ones", async (context) => {
  const { program, ring } = await openRing(context);
  testRun(program, { packet: frame, repeat: 20 });
  const seen: (readonly [number: number, length: number])[] = [];
  const count = ring.consume((record) => {
    seen.push([Number(record.readBigUInt64LE()), record.length]);
  });
  const numbers = Array.from({ length: 20 }, (_, number) => number).filter((n) => n % 10 !== 9);
  assert.equal(count, 18);
  assert.deepEqual(
    seen,
    numbers.map((number) => [number, expectedLength(number)] as const),
  );
  assert.equal(ring.pendingBytes, 0);
  assert.equal(
    ring.consume(() => assert.fail("nothing is left")),
    0,
  );
});

test("no record is lost or torn over many rounds of the ring", async (context) => {
  const { program, ring, dropped } = await openRing(context);
  let next = 0;
  const perRound = 40;
  const rounds = 500;
  for (let round = 0; round < rounds; round++) {
    for (let run = 0; run < perRound; run++) testRun(program, { packet: frame });
    ring.consume((record) => {
      if (next % 10 === 9) next++;
      if (record.readBigUInt64LE() !== BigInt(next) || record.length !== expectedLength(next)) {
        assert.fail(`record ${record.readBigUInt64LE()} of ${record.length} bytes, not ${next}`);
      }
      next++;
    });
  }
  // The last number of all ends with 9, and so was discarded.
  assert.equal(next, perRound * rounds - 1);
  assert.equal(dropped(), 0n);
});

test("a ring that nobody reads drops new records and keeps the old ones", async (context) => {
  const { program, ring, dropped } = await openRing(context);
  testRun(program, { packet: frame, repeat: 1000 });
  assert.ok(dropped() > 0n);
  const numbers: number[] = [];
  ring.consume((record) => numbers.push(Number(record.readBigUInt64LE())));
  assert.deepEqual(
    numbers,
    Array.from({ length: Number(1000n - dropped()) }, (_, n) => n).filter((n) => n % 10 !== 9),
  );
  testRun(program, { packet: frame });
  assert.equal(
    ring.consume(() => undefined),
    1,
  );
});

test("reading stops at the given number and goes on there", async (context) => {
  const { program, ring } = await openRing(context);
  testRun(program, { packet: frame, repeat: 8 });
  const numbers: number[] = [];
  const keep = (record: Buffer) => void numbers.push(Number(record.readBigUInt64LE()));
  assert.equal(ring.consume(keep, 3), 3);
  assert.equal(ring.consume(keep, 3), 3);
  assert.equal(ring.consume(keep), 2);
  assert.deepEqual(numbers, [0, 1, 2, 3, 4, 5, 6, 7]);
});

test("a handler that throws loses its own record only", async (context) => {
  const { program, ring } = await openRing(context);
  testRun(program, { packet: frame, repeat: 3 });
  assert.throws(
    () =>
      ring.consume(() => {
        throw new Error("cannot");
      }),
    /cannot/,
  );
  const numbers: number[] = [];
  ring.consume((record) => numbers.push(Number(record.readBigUInt64LE())));
  assert.deepEqual(numbers, [1, 2]);
});

test("a listener is woken for every record, however few come at once", async (context) => {
  const { program, ring } = await openRing(context);
  const total = 300;
  let seen = 0;
  await new Promise<void>((resolve) => {
    ring.listen(() => {
      seen++;
      if (seen === total) resolve();
      // One at a time: each is written after the reader has gone to sleep again.
      else setImmediate(write);
    });
    const write = () => {
      const before = seen;
      // Every tenth is discarded and handed to nobody, so the one after it must follow at once.
      if (before % 9 === 8) testRun(program, { packet: frame });
      testRun(program, { packet: frame });
    };
    write();
  });
  assert.equal(seen, total);
});

test("a listener that reads few records per turn still gets all", async (context) => {
  const { program, ring } = await openRing(context);
  let seen = 0;
  testRun(program, { packet: frame, repeat: 40 });
  await new Promise<void>((resolve) => {
    ring.listen(() => {
      seen++;
      if (seen === 36) resolve();
    }, 5);
  });
  assert.throws(() => ring.listen(() => undefined), { code: "SLUICE_RING_FAILED" });
});

test("a closed ring is refused, and a handler may close it", async (context) => {
  const { program, ring } = await openRing(context);
  testRun(program, { packet: frame, repeat: 5 });
  let seen = 0;
  ring.consume(() => {
    seen++;
    ring.close();
  });
  assert.equal(seen, 1);
  assert.throws(() => ring.consume(() => undefined), { code: "SLUICE_CLOSED" });
  ring.close();
});

test("a map of another type is refused by name", async (context) => {
  const object = await loadObject(context, "tables-fixture");
  assert.throws(() => new RingBuffer(object.takeMap("table")), {
    code: "SLUICE_RING_FAILED",
    message: /map table is not a ring buffer/,
  });
});
