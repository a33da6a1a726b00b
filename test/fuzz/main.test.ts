/** The command line: exit status and what is printed. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("main.js", import.meta.url));

function run(...args: readonly string[]): {
  status: number | null;
  stdout: string;
  stderr: string;
} {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8" });
}

describe("the fuzzer's command line", () => {
  it("prints seed and summary and ends with 0 when nothing is found", () => {
    const { status, stdout } = run("--subject", "oracle", "--cases", "500", "--seed", "7");
    assert.equal(status, 0);
    assert.match(stdout, /^seed 7\n/);
    assert.match(stdout, /600 of 500 packets, 3 worlds/);
    assert.match(stdout, /\d+ {2}drop rule\n/);
    assert.match(stdout, /no finding\n$/);
  });

  it("runs the one case that a finding names", () => {
    const { status, stdout } = run("--subject", "oracle", "--seed", "7", "--only-case", "5");
    assert.equal(status, 0);
    assert.match(stdout, /200 of 200 packets, 1 worlds/);
  });

  it("ends with 2 and says what to give when an option is wrong", () => {
    for (const args of [
      ["--cases", "many"],
      ["--seed", "-1"],
      ["--packets-per-world", "0"],
    ]) {
      const { status, stderr } = run(...args);
      assert.equal(status, 2);
      assert.match(stderr, /Usage: npm run fuzz/);
    }
    assert.match(run("--cases", "1.5").stderr, /--cases 1\.5: give a whole number from 1 on/);
    assert.match(run("--subject", "nothing").stderr, /use kernel, oracle or pods/);
  });
});
