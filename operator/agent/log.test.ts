import assert from "node:assert/strict";
import { test } from "node:test";
import { createLog, neighbourLevel } from "./log.js";

test("a new level holds for loggers that were made before", () => {
  const lines: { level: string; msg: string; node: string }[] = [];
  const log = createLog("info", "node1", {
    write: (text) => void lines.push(JSON.parse(text) as (typeof lines)[number]),
  });
  const grandchild = log.logger.child({ component: "engine" }).child({ part: "x" });
  grandchild.debug("unheard");
  log.setLevel("debug");
  grandchild.debug("heard");
  log.setLevel("error");
  grandchild.info("unheard");
  assert.equal(log.level(), "error");
  assert.deepEqual(
    lines.map(({ level, msg, node }) => [level, msg, node]),
    [
      ["info", "log level changed", "node1"],
      ["debug", "heard", "node1"],
    ],
  );
});

test("levels have neighbours, and ends", () => {
  assert.equal(neighbourLevel("info", -1), "debug");
  assert.equal(neighbourLevel("info", 1), "warn");
  assert.equal(neighbourLevel("trace", -1), "trace");
  assert.equal(neighbourLevel("silent", 1), "silent");
});
