import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import pino from "pino";
import { fakeClient, kubeError, StoredObject } from "../../test/status/fake-kube.js";
import { ManualClock, settle } from "../../test/status/manual-clock.js";
import { LeaseCandidate } from "./lease.js";

const log = pino({ level: "silent" });
const open: { close(): unknown }[] = [];

afterEach(() => {
  for (const one of open.splice(0)) void one.close();
});

interface Candidate {
  readonly lease: LeaseCandidate;
  readonly client: ReturnType<typeof fakeClient>;
  /** `+` for each term that began, `-` for each that ended. */
  readonly terms: string[];
  /** Cuts it off from the API server. */
  isCutOff: boolean;
}

function candidate(
  stored: StoredObject,
  identity: string,
  clock: ManualClock,
  candidateCount = 2,
): Candidate {
  const made: { isCutOff: boolean } = { isCutOff: false };
  const terms: string[] = [];
  const client = fakeClient((request) => {
    if (made.isCutOff) throw kubeError(500);
    return stored.answer(request);
  });
  const lease = new LeaseCandidate({
    client,
    namespace: "sluice-system",
    name: "sluice-leader",
    identity,
    candidateCount: () => candidateCount,
    lead: (signal) => {
      terms.push("+");
      signal.addEventListener("abort", () => terms.push("-"));
    },
    clock,
    log,
  });
  open.push(lease);
  lease.start();
  return Object.assign(made, { lease, client, terms });
}

/** A holder that is there without being run: its record alone, renewed when told. */
function foreignLease(stored: StoredObject, wallMs: number): void {
  stored.answer({
    method: stored.object === undefined ? "POST" : "PUT",
    path: "",
    body: {
      metadata: { name: "sluice-leader", ...stored.object?.metadata },
      spec: { holderIdentity: "other", renewTime: new Date(wallMs).toISOString() },
    },
  });
}

describe("an election", () => {
  it("has one leader, who renews every 2 s", async () => {
    const clock = new ManualClock();
    const stored = new StoredObject();
    const both = [candidate(stored, "a", clock), candidate(stored, "b", clock)];
    await clock.advance(60_000);
    assert.deepEqual(
      both.map(({ terms }) => terms),
      [["+"], []],
    );
    assert.equal(stored.writes, 1 + 30);
  });

  it("is lost by the slower of two who want the same lease at once", async () => {
    const clock = new ManualClock();
    const stored = new StoredObject();
    foreignLease(stored, clock.wallMs());
    const both = [candidate(stored, "a", clock), candidate(stored, "b", clock)];
    await clock.advance(40_000);
    assert.equal(both.filter(({ lease }) => lease.isLeading).length, 1);
    assert.equal(both.flatMap(({ terms }) => terms).length, 1);
  });

  it("is won by the other one soon after the leader closed", async () => {
    const clock = new ManualClock();
    const stored = new StoredObject();
    const a = candidate(stored, "a", clock);
    await clock.advance(5000);
    const b = candidate(stored, "b", clock);
    await clock.advance(5000);
    await a.lease.close();
    assert.deepEqual(a.terms, ["+", "-"]);
    await clock.advance(3000);
    assert.deepEqual(b.terms, ["+"]);
  });

  it("is won 15 s after the last renewal of a leader that was killed, not before", async () => {
    const clock = new ManualClock();
    const stored = new StoredObject();
    foreignLease(stored, clock.wallMs());
    const b = candidate(stored, "b", clock);
    await clock.advance(14_000);
    assert.deepEqual(b.terms, []);
    await clock.advance(4000);
    assert.deepEqual(b.terms, ["+"]);
  });
});

describe("a leader", () => {
  it("that cannot renew stops after 10 s, before another one may begin", async () => {
    const clock = new ManualClock();
    const stored = new StoredObject();
    const a = candidate(stored, "a", clock);
    await clock.advance(4000);
    const b = candidate(stored, "b", clock);
    await clock.advance(4000);
    a.isCutOff = true;
    await clock.advance(8000);
    assert.deepEqual([a.terms, b.terms], [["+"], []]);
    await clock.advance(3000);
    assert.deepEqual([a.terms, b.terms], [["+", "-"], []]);
    await clock.advance(7000);
    assert.deepEqual([a.terms, b.terms], [["+", "-"], ["+"]]);
    a.isCutOff = false;
    await clock.advance(30_000);
    assert.deepEqual([a.terms, b.terms], [["+", "-"], ["+"]]);
  });

  it("that waits for an answer that does not come stops in time", async () => {
    const clock = new ManualClock();
    const stored = new StoredObject();
    let isSilent = false;
    const terms: string[] = [];
    const lease = new LeaseCandidate({
      client: fakeClient((request) => (isSilent ? new Promise(() => {}) : stored.answer(request))),
      namespace: "sluice-system",
      name: "sluice-leader",
      identity: "a",
      candidateCount: () => 1,
      lead: (signal) => {
        terms.push("+");
        signal.addEventListener("abort", () => terms.push("-"));
      },
      clock,
      log,
    });
    lease.start();
    await clock.advance(3000);
    isSilent = true;
    await clock.advance(10_000);
    assert.deepEqual(terms, ["+", "-"]);
  });

  it("whose lease was taken from it stops with its next renewal", async () => {
    const clock = new ManualClock();
    const stored = new StoredObject();
    const a = candidate(stored, "a", clock);
    await clock.advance(3000);
    foreignLease(stored, clock.wallMs());
    await clock.advance(2000);
    assert.deepEqual(a.terms, ["+", "-"]);
  });

  it("stays when only the answer of its renewal was lost", async () => {
    const clock = new ManualClock();
    const stored = new StoredObject();
    const a = candidate(stored, "a", clock);
    await clock.advance(3000);
    const { spec } = stored.object as unknown as { spec: object };
    stored.answer({ method: "PUT", path: "", body: { ...stored.object, spec } });
    await clock.advance(20_000);
    assert.deepEqual(a.terms, ["+"]);
  });

  it("whose lease was deleted makes it anew", async () => {
    const clock = new ManualClock();
    const stored = new StoredObject();
    const a = candidate(stored, "a", clock);
    await clock.advance(3000);
    stored.object = undefined;
    await clock.advance(10_000);
    assert.deepEqual(a.terms, ["+", "-", "+"]);
  });
});

describe("a candidate", () => {
  for (const [what, skewMs] of [
    ["an hour fast", 3_600_000],
    ["an hour slow", -3_600_000],
  ] as const) {
    it(`whose clock is ${what} takes nothing from a leader that renews`, async () => {
      const clock = new ManualClock();
      const stored = new StoredObject();
      const a = candidate(stored, "a", clock);
      await clock.advance(3000);
      const b = candidate(stored, "b", clock.skewed(skewMs), 5000);
      await clock.advance(600_000);
      assert.deepEqual([a.terms, b.terms], [["+"], []]);
      // One look for each lease duration at most, besides those of the ordinary poll.
      assert.ok(b.client.requests.length <= 600_000 / 15_000 + 4, `${b.client.requests.length}`);
    });
  }

  it("asks every 2 s in a small cluster and every 200 s in one of 5,000 nodes", async () => {
    const clock = new ManualClock();
    clock.chance = 0.5;
    const stored = new StoredObject();
    candidate(stored, "a", clock);
    await clock.advance(3000);
    const small = candidate(stored, "b", clock, 3);
    const large = candidate(stored, "c", clock, 5000);
    await clock.advance(1_000_000);
    assert.ok(Math.abs(small.client.requests.length - 500) <= 1, `${small.client.requests.length}`);
    assert.ok(large.client.requests.length <= 6, `${large.client.requests.length}`);
  });

  it("of many that sees a silent leader looks again after one lease duration, and takes over", async () => {
    const clock = new ManualClock();
    const stored = new StoredObject();
    foreignLease(stored, clock.wallMs() - 20_000);
    const b = candidate(stored, "b", clock, 5000);
    await settle();
    await clock.advance(14_999);
    assert.deepEqual(b.terms, []);
    await clock.advance(2001);
    assert.deepEqual(b.terms, ["+"]);
    assert.equal(b.client.requests.filter(({ method = "GET" }) => method === "GET").length, 2);
  });

  it("asks no more often than otherwise while the API server fails", async () => {
    const clock = new ManualClock();
    clock.chance = 0.5;
    const stored = new StoredObject();
    foreignLease(stored, clock.wallMs());
    const b = candidate(stored, "b", clock, 500);
    await clock.advance(12_000);
    b.isCutOff = true;
    const before = b.client.requests.length;
    await clock.advance(200_000);
    assert.ok(b.client.requests.length - before <= 11, `${b.client.requests.length - before}`);
  });
});
