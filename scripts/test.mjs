// @ts-check
import { lint } from "./lint.mjs";
import { listFiles, runMain, runNode, StepError } from "./run.mjs";
import { setUp } from "./setup.mjs";

/** Unit tests come first: they fail fast, and with less to read. */
const folders = ["datapath", "operator", "examples", "bench", "test"];

/** Tests of agents and API servers wait most of the time, so two files of them run at once. */
const waiting = /^test\/(chart|cli|crds|kube|kubernetes|status|support|truth)\//;

/**
 * Test files by their sources, so that the compiled test of a deleted source does not run.
 *
 * @param {readonly string[]} patterns a file is chosen when its path has one of them; all when empty
 */
function findTests(patterns) {
  const sources = folders
    .flatMap((folder) => listFiles(folder, { recursive: true }))
    .filter((path) => path.endsWith(".test.ts"));
  const wanted = sources.filter(
    (path) => patterns.length === 0 || patterns.some((pattern) => path.includes(pattern)),
  );
  if (wanted.length === 0) {
    const which = patterns.length === 0 ? "" : ` with ${patterns.join(" or ")} in its path`;
    throw new StepError(`test: there is no test file${which} under ${folders.join(", ")}`);
  }
  return wanted;
}

/**
 * @param {readonly string[]} sources
 * @param {number} atOnce files
 * @returns {Promise<number>} the exit status
 */
async function runTests(sources, atOnce) {
  if (sources.length === 0) return 0;
  const files = sources.map((path) => `dist/${path.replace(/\.ts$/, ".js")}`);
  return runNode(["--test", "--test-reporter=spec", `--test-concurrency=${atOnce}`, ...files]);
}

runMain(async () => {
  const patterns = process.argv.slice(2);
  await setUp("test");
  // Chosen files are for trying a change out; all of them are the gate.
  if (patterns.length === 0) lint();
  const tests = findTests(patterns);
  const status = await runTests(
    tests.filter((path) => !waiting.test(path)),
    1,
  );
  const waited = await runTests(
    tests.filter((path) => waiting.test(path)),
    2,
  );
  return status || waited;
});
