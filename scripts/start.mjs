// @ts-check
import { runMain, runNode } from "./run.mjs";
import { setUp } from "./setup.mjs";

runMain(async () => {
  await setUp("start");
  return runNode(["dist/operator/lab/main.js", ...process.argv.slice(2)]);
});
