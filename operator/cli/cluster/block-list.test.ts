import assert from "node:assert/strict";
import { test } from "node:test";
import { SluiceError } from "../../errors.js";
import { blockedEntries, entryOf, withBlocked, withoutBlocked } from "./block-list.js";

const nowMs = Date.parse("2026-01-01T00:00:00Z");
const later = "2026-01-01T00:10:00Z";
const before = "2025-12-31T23:59:59Z";

function isCode(code: string) {
  return (error: unknown) => error instanceof SluiceError && error.code === code;
}

test("an address and its full-length CIDR are one entry", () => {
  assert.equal(entryOf("192.0.2.7/32"), "192.0.2.7");
  assert.equal(entryOf("2001:db8::1/128"), "2001:db8::1");
  assert.equal(entryOf("192.0.2.0/24"), "192.0.2.0/24");
  for (const text of ["0.0.0.0/0", "::/0", "10.0.0.1/8", "x"]) {
    assert.throws(() => entryOf(text), isCode("SLUICE_CIDR"));
  }
});

test("to block again sets the time anew, in both directions", () => {
  const timed = withBlocked({ cidrs: ["192.0.2.7/32"] }, ["192.0.2.7"], later, nowMs);
  assert.deepEqual(timed, { cidrs: [], expiring: [{ cidr: "192.0.2.7", expiresAt: later }] });
  const lasting = withBlocked(timed, ["192.0.2.7"], undefined, nowMs);
  assert.deepEqual(lasting, { cidrs: ["192.0.2.7"], expiring: [] });
});

test("entries that have ended go with each write, other fields stay", () => {
  const spec = {
    setName: "s",
    future: 1,
    expiring: [
      { cidr: "192.0.2.1", expiresAt: before },
      { cidr: "192.0.2.2", expiresAt: later },
    ],
  };
  assert.deepEqual(withBlocked(spec, ["192.0.2.3", "192.0.2.3"], undefined, nowMs), {
    setName: "s",
    future: 1,
    cidrs: ["192.0.2.3"],
    expiring: [{ cidr: "192.0.2.2", expiresAt: later }],
  });
  assert.deepEqual(blockedEntries(spec, nowMs), [{ cidr: "192.0.2.2", until: later }]);
});

test("what has ended was not blocked any more", () => {
  const spec = { cidrs: ["192.0.2.9"], expiring: [{ cidr: "192.0.2.1", expiresAt: before }] };
  assert.deepEqual(withoutBlocked(spec, ["192.0.2.1", "192.0.2.9"], nowMs).removed, ["192.0.2.9"]);
});

test("one entry more than an object holds is refused, ended ones do not count", () => {
  const full = Array.from(
    { length: 50_000 },
    (_, n) => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`,
  );
  assert.throws(
    () => withBlocked({ cidrs: full }, ["192.0.2.1"], undefined, nowMs),
    isCode("SLUICE_BLOCK_FULL"),
  );
  const [first = "", ...rest] = full;
  const ended = { cidrs: rest, expiring: [{ cidr: first, expiresAt: before }] };
  assert.equal(withBlocked(ended, ["192.0.2.1"], undefined, nowMs).cidrs?.length, 50_000);
  assert.equal(withBlocked({ cidrs: full }, [first], undefined, nowMs).cidrs?.length, 50_000);
});
