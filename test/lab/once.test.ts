import assert from "node:assert/strict";
import { test } from "node:test";
import { namespaceNumbers, runLab, tracesOf } from "./lab-process.js";

test("the scenario on the example policies holds all its checks, and leaves nothing", async (t) => {
  const lab = runLab(t, ["--once"]);
  await lab.says("attacking:");
  const numbers = namespaceNumbers(lab.pid);
  assert.equal(numbers.length, 10);
  assert.equal(await lab.exited, 0, lab.output());
  assert.match(lab.output(), /all checks hold/);
  assert.deepEqual(tracesOf(lab.pid, numbers), []);
});

test("the scenario is refused on other policies than the examples", async (t) => {
  const lab = runLab(t, ["--once", "--folder", "/"]);
  assert.equal(await lab.exited, 1);
  assert.match(lab.output(), /SLUICE_LAB_FLAGS/);
});
