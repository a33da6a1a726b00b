/** The truth tables of both suites with real sockets, over nodes that have direct routes to each other's pods. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { loadSpecs } from "../policy-oracle/spec.js";
import { withTruthLab } from "./lab.js";

test("the tables of both suites over direct routes", async (context) => {
  await withTruthLab("direct", async (lab) => {
    for (const spec of [...loadSpecs("e2e"), ...loadSpecs("cyclonus")]) {
      await context.test(`${spec.id}: ${spec.name}`, () => lab.check(spec));
    }
    await context.test("a table that is wrong in one cell is found", async () => {
      const [spec] = loadSpecs("e2e");
      const expect = [{ probes: ["TCP 80"], denied: ["* -> x", "xa -> ya"] }];
      const wrong = { ...spec!, steps: spec!.steps.map((step) => ({ ...step, expect })) };
      await assert.rejects(lab.check(wrong), /IPv4 TCP 80[^]*xa +\. +X[^]*\.!/);
    });
  });
});
