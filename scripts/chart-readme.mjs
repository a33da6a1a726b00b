// @ts-check
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { root, runMain, StepError } from "./run.mjs";

const chart = join(root, "charts/sluice");
const [begin, end] = ["<!-- values -->", "<!-- end of values -->"];

/**
 * Table of the values of a chart, from the `# --` comments above them. A value with a comment stands for all that is in
 * it.
 *
 * @param {string} text of values.yaml
 * @throws {StepError} that names a value without a comment
 */
function valuesTable(text) {
  const values = parse(text);
  /** Keys above the current line, by their depth. @type {string[]} */
  const path = [];
  /** @type {string[]} */
  let comment = [];
  let documentedAt = Number.POSITIVE_INFINITY;
  const rows = [];
  for (const line of text.split("\n")) {
    const words = /^\s*# (?:-- )?(.*)$/.exec(line);
    if (words?.[1] !== undefined) comment.push(words[1]);
    const key = /^( *)([\w-]+):(.*)$/.exec(line);
    if (key?.[1] === undefined || key[2] === undefined) continue;
    const depth = key[1].length / 2;
    if (depth > documentedAt) continue;
    path.splice(depth, path.length, key[2]);
    documentedAt = comment.length > 0 ? depth : Number.POSITIVE_INFINITY;
    if (comment.length > 0) {
      const value = JSON.stringify(path.reduce((parent, name) => parent[name], values));
      rows.push(`| \`${path.join(".")}\` | ${comment.join(" ")} | \`${value}\` |`);
    } else if (key[3]?.trim() !== "") {
      throw new StepError(`values.yaml: ${path.join(".")} has no comment that starts with # --`);
    }
    comment = [];
  }
  return ["| value | meaning | default |", "|---|---|---|", ...rows].join("\n");
}

/** @param {string} readme @param {string} table */
function withTable(readme, table) {
  const [head, rest] = readme.split(`${begin}\n`);
  const tail = rest?.split(`\n${end}`)[1];
  if (head === undefined || tail === undefined) {
    throw new StepError(`README.md of the chart lacks the lines ${begin} and ${end}`);
  }
  return `${head}${begin}\n${table}\n${end}${tail}`;
}

runMain(async () => {
  const path = join(chart, "README.md");
  const readme = readFileSync(path, "utf8");
  const wanted = withTable(readme, valuesTable(readFileSync(join(chart, "values.yaml"), "utf8")));
  if (readme === wanted) return;
  if (process.argv.includes("--check")) {
    throw new StepError(
      "charts/sluice/README.md is behind values.yaml; run node scripts/chart-readme.mjs",
    );
  }
  writeFileSync(path, wanted);
});
