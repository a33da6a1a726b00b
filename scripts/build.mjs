// @ts-check
import { compileAll } from "./compile-c.mjs";
import { generateLayout } from "./generate-layout.mjs";
import { root, runMain, runOrFail, StepError } from "./run.mjs";

/**
 * Builds everything that changed: C to `dist/bpf` and `dist/bin`, the table layouts to
 * `datapath/generated/layout.ts`, the manifest types to `operator/model/generated`, and TypeScript
 * to `dist`. Arguments (`c`, `layout`, `ts`) choose steps.
 *
 * @param {readonly string[]} steps all when empty
 */
export async function build(steps) {
  const unknown = steps.filter((step) => !["c", "layout", "ts"].includes(step));
  if (unknown.length > 0) {
    throw new StepError(`build: unknown step ${unknown.join(", ")}; steps are c, layout and ts`);
  }
  const wants = (/** @type {string} */ step) => steps.length === 0 || steps.includes(step);
  if (wants("c")) {
    const { units, compiled } = await compileAll();
    if (compiled > 0) console.log(`build: compiled ${compiled} of ${units.length} C files`);
  }
  if (wants("layout") && (await generateLayout())) {
    console.log("build: wrote datapath/generated/layout.ts");
  }
  if (wants("ts")) {
    // Only now: it needs a package, and set-up loads this file before npm ci.
    const { generateTypes } = await import("./generate-types.mjs");
    await generateTypes();
    runOrFail(`${root}/node_modules/.bin/tsc`, ["-p", "."], "build: TypeScript");
  }
}

if (process.argv[1] === import.meta.filename) runMain(() => build(process.argv.slice(2)));
