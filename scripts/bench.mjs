// @ts-check
import { runMain, runNode } from "./run.mjs";
import { setUp } from "./setup.mjs";

runMain(async () => {
  await setUp("bench");
  return runNode(["dist/bench/main.js", ...process.argv.slice(2)]);
});
