import assert from "node:assert/strict";
import { test } from "node:test";
import { renderReport } from "./report.js";

test("a report shows facts, targets and tables, and says which target is missed", () => {
  const report = renderReport([["kernel", "Linux 6.18"]], {
    sections: [
      {
        title: "Per packet",
        columns: ["packets", "ns"],
        rows: [
          ["hit", "9.5"],
          ["miss", ""],
        ],
        notes: ["A note."],
      },
    ],
    targets: [
      { what: "hit", goal: "≤ 2 × empty", measured: "1.50", isReached: true },
      { what: "miss", goal: "≤ 2 × empty", measured: "2.01", isReached: false },
    ],
  });
  assert.match(report, /^- kernel: Linux 6\.18$/m);
  assert.match(report, /\| hit {2}\| ≤ 2 × empty \| +1\.50 \| yes {5}\|/);
  assert.match(report, /\| miss \| ≤ 2 × empty \| +2\.01 \| \*\*no\*\* {2}\|/);
  assert.match(report, /## Per packet\n\n\| packets \| {2}ns \|\n\| ------- \| --: \|\n/);
  assert.match(report, /\nA note\.\n$/);
});
