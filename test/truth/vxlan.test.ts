/** The truth tables of both suites with real sockets, over nodes whose pods reach each other by VXLAN. */

import { test } from "node:test";
import { loadSpecs } from "../policy-oracle/spec.js";
import { withTruthLab } from "./lab.js";

test("the tables of both suites by VXLAN", async (context) => {
  await withTruthLab("vxlan", async (lab) => {
    for (const spec of [...loadSpecs("e2e"), ...loadSpecs("cyclonus")]) {
      await context.test(`${spec.id}: ${spec.name}`, () => lab.check(spec));
    }
  });
});
