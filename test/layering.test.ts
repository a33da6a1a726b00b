import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** One line per edge of the picture in docs/architecture.md: a file, and what it imports. */
const refused: readonly (readonly [file: string, specifier: string])[] = [
  ["operator/model/a.ts", "../source/folder.js"],
  ["operator/model/a.ts", "../compile/rules.js"],
  ["operator/model/a.ts", "../apply/tables.js"],
  ["operator/model/a.ts", "../../datapath/maps.js"],
  ["operator/source/a.ts", "../compile/rules.js"],
  ["operator/source/a.ts", "../apply/tables.js"],
  ["operator/source/a.ts", "../../datapath/maps.js"],
  ["operator/source/files/a.ts", "../../compile/rules.js"],
  ["operator/compile/a.ts", "../source/folder.js"],
  ["operator/compile/a.ts", "../apply/tables.js"],
  ["operator/compile/a.ts", "../../datapath/maps.js"],
  ["operator/compile/a.ts", "../../datapath/index.js"],
  ["operator/compile/a.ts", "../../datapath/generated/other.js"],
  ["operator/compile/a.ts", "node:fs"],
  ["operator/compile/a.ts", "node:fs/promises"],
  ["operator/compile/a.ts", "node:net"],
  ["operator/compile/a.ts", "node:http"],
  ["operator/compile/a.ts", "node:child_process"],
  ["operator/compile/a.ts", "node:timers/promises"],
  ["operator/compile/a.ts", "node:os"],
  ["operator/compile/a.ts", "pino"],
  ["operator/compile/a.ts", "chokidar"],
  ["operator/compile/a.ts", "koffi"],
  ["operator/apply/a.ts", "../source/folder.js"],
  ["operator/apply/a.ts", "../agent/main.js"],
  ["operator/apply/a.ts", "../cli/main.js"],
  ["operator/apply/a.ts", "../api/server.js"],
  ["operator/apply/a.ts", "koffi"],
  ["operator/status/a.ts", "../source/folder.js"],
  ["operator/observe/a.ts", "../cli/main.js"],
  ["operator/health/a.ts", "../agent/main.js"],
  ["operator/api/a.ts", "../apply/tables.js"],
  ["operator/api/a.ts", "../../datapath/maps.js"],
  ["operator/cli/a.ts", "../apply/tables.js"],
  ["operator/cli/a.ts", "../../datapath/maps.js"],
  ["operator/cli/a.ts", "../agent/main.js"],
  ["operator/agent/a.ts", "../lab/main.js"],
  ["operator/agent/a.ts", "../cli/main.js"],
  ["operator/agent/a.ts", "koffi"],
  ["operator/lab/a.ts", "koffi"],
  ["operator/errors.ts", "./model/records.js"],
  ["datapath/a.ts", "../operator/errors.js"],
  ["datapath/a.ts", "../operator/model/records.js"],
  ["examples/programs/a.ts", "../../datapath/index.js"],
  ["examples/programs/a.ts", "../../operator/model/records.js"],
  ["test/a.ts", "koffi"],
  ["bench/a.ts", "koffi"],
];

const accepted: readonly (readonly [file: string, specifier: string])[] = [
  ["operator/model/a.ts", "../errors.js"],
  ["operator/source/a.ts", "../model/records.js"],
  ["operator/source/a.ts", "node:fs"],
  ["operator/compile/a.ts", "../model/records.js"],
  ["operator/compile/a.ts", "../errors.js"],
  ["operator/compile/a.ts", "./rules.js"],
  ["operator/compile/a.ts", "../../datapath/generated/layout.js"],
  ["operator/compile/a.ts", "../../datapath/codec.js"],
  ["operator/compile/a.test.ts", "node:fs"],
  ["operator/apply/a.ts", "../compile/rules.js"],
  ["operator/apply/a.ts", "../model/records.js"],
  ["operator/apply/a.ts", "../api/engine.js"],
  ["operator/apply/a.ts", "../../datapath/maps.js"],
  ["operator/cli/a.ts", "../api/requests.js"],
  ["operator/cli/a.ts", "../compile/rules.js"],
  ["operator/agent/a.ts", "../apply/tables.js"],
  ["operator/errors.ts", "../datapath/errors.js"],
  ["datapath/a.ts", "koffi"],
  ["examples/programs/a.ts", "sluice/datapath"],
];

let folder: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-layering-"));
  const config = JSON.parse(readFileSync(join(root, ".oxlintrc.json"), "utf8")) as object;
  // Type-aware rules would need a project; layering needs none.
  const untyped = { ...config, options: {}, categories: {} };
  writeFileSync(join(folder, ".oxlintrc.json"), JSON.stringify(untyped));
});

after(() => rmSync(folder, { recursive: true, force: true }));

/** Imports that the linter refuses among those of files which consist of nothing else. */
function refusedImports(edges: readonly (readonly [string, string])[]): readonly string[] {
  const lines = new Map<string, string[]>();
  for (const [file, specifier] of edges) {
    const imports = lines.get(file) ?? [];
    imports.push(specifier);
    lines.set(file, imports);
  }
  for (const [file, specifiers] of lines) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    const text = specifiers.map((specifier, index) => `import * as x${index} from "${specifier}";`);
    writeFileSync(join(folder, file), `${text.join("\n")}\n`);
  }
  const lint = spawnSync(
    join(root, "node_modules/.bin/oxlint"),
    ["--format=json", ...lines.keys()],
    { cwd: folder, encoding: "utf8" },
  );
  const report = JSON.parse(lint.stdout) as {
    diagnostics: { code: string; filename: string; labels: { span: { line: number } }[] }[];
  };
  return report.diagnostics
    .filter(({ code }) => code.includes("no-restricted-imports"))
    .map(({ filename, labels }) => {
      const line = labels[0]?.span.line ?? 0;
      return `${filename} imports ${lines.get(filename)?.[line - 1] ?? "?"}`;
    });
}

test("lint refuses every import against the direction of the layers", () => {
  const expected = refused.map(([file, specifier]) => `${file} imports ${specifier}`);
  assert.deepEqual([...new Set(refusedImports(refused))].sort(), expected.sort());
});

test("lint accepts the imports that the layers are made for", () => {
  assert.deepEqual(refusedImports(accepted), []);
});
