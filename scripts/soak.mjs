// @ts-check
import { runMain, runNode } from "./run.mjs";
import { setUp } from "./setup.mjs";

/** ADD and DEL of many containers while the CNI server is killed at random: `npm run soak -- --rounds 10000`. */
runMain(async () => {
  await setUp("test");
  return runNode(["--enable-source-maps", "dist/test/cni/soak-main.js", ...process.argv.slice(2)]);
});
