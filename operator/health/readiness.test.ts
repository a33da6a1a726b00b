import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { status } from "../../test/agent/fixture-engine.js";
import type { SourceState } from "../model/source-state.js";
import { readinessChecks } from "./readiness.js";

const since = "2026-01-01T00:00:00.000Z";
const sinceMs = Date.parse(since);

/** The check of a source that is as usual but for this. */
function sourceCheck(change: Partial<SourceState>, nowMs: number) {
  const source = { ...status.source!, since, ...change };
  const checks = readinessChecks({ status: () => ({ ...status, source }) }, nowMs);
  return checks.find(({ name }) => name === "source");
}

describe("a source that is away", () => {
  const away = { isConnected: false, errors: ["it refused the connection"] };

  it("leaves the node ready for a minute: every agent loses a restarted API server at once", () => {
    assert.equal(sourceCheck(away, sinceMs + 59_000)?.ok, true);
  });

  it("makes the node unready after that, and says since when and why", () => {
    assert.deepEqual(sourceCheck(away, sinceMs + 61_000), {
      name: "source",
      ok: false,
      text: `https://192.0.2.1:6443 is away since ${since}: it refused the connection`,
    });
  });

  it("leaves a node unready that has never read it", () => {
    assert.equal(sourceCheck({ ...away, isSynced: false }, sinceMs + 1000)?.ok, false);
  });
});
