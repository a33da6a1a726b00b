// @ts-check
import { runMain, runNode } from "./run.mjs";
import { setUp } from "./setup.mjs";

runMain(async () => {
  await setUp("test");
  return runNode(["dist/test/fuzz/main.js", ...process.argv.slice(2)]);
});
