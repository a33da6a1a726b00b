// @ts-check
import { root, runMain, runOrFail } from "./run.mjs";
import { setUp } from "./setup.mjs";

/**
 * Checks the types of the scripts, and rules, layering and format of all sources. Needs a finished
 * build, since type-aware rules read the generated layout.
 */
export function lint() {
  const bin = `${root}/node_modules/.bin`;
  runOrFail(`${bin}/tsc`, ["-p", "scripts"], "lint: types of scripts");
  runOrFail(`${bin}/oxlint`, [], "lint: rules");
  runOrFail(`${bin}/biome`, ["format", "."], "lint: format (npm run format repairs it)");
}

if (process.argv[1] === import.meta.filename) {
  runMain(async () => {
    await setUp("build");
    lint();
  });
}
