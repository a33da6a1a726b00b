/** The truth tables of both suites with real sockets, over nodes that have direct routes to each other's pods. */

import { test } from "node:test";
import { loadSpecs } from "../policy-oracle/spec.js";
import { withTruthLab } from "./lab.js";

test("the tables of both suites over direct routes", async (context) => {
  await withTruthLab("direct", async (lab) => {
    for (const spec of [...loadSpecs("e2e"), ...loadSpecs("cyclonus")]) {
      await context.test(`${spec.id}: ${spec.name}`, () => lab.check(spec));
    }
  });
});
