/** `npm run bench -- [--quick] [--only NAME]`: docs/bench.md. */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { SluiceError } from "../operator/errors.js";
import { sweep } from "./cleanup.js";
import { machineFacts } from "./machine.js";
import { startPart } from "./part.js";
import { renderReport } from "./report.js";
import type { PartOptions, PartResult } from "./result.js";

/** The source tree's, not the build's. */
const RESULTS = fileURLToPath(new URL("../../bench/RESULTS.md", import.meta.url));

/** The wire pins its own threads; all others may use what they get. */
const parts: readonly { readonly name: string; readonly wrapper: readonly string[] }[] = [
  { name: "packets", wrapper: ["taskset", "--cpu-list", String(cpus().length - 1)] },
  { name: "wire", wrapper: [] },
  { name: "control", wrapper: [] },
  { name: "projection", wrapper: [] },
  // Its loopback is its own, and the node of its agent.
  { name: "cluster", wrapper: ["unshare", "--net"] },
  { name: "cni", wrapper: ["unshare", "--net"] },
  { name: "pods", wrapper: ["unshare", "--net"] },
];

const command = new Command("bench")
  .description(`Measures Sluice beside its peers. A full run writes bench/RESULTS.md.`)
  .option("--quick", "few rounds, short ones: to see that it works, not for figures", false)
  .option("--only <name>", "only what has this in its name, as in “packets set of 1M”", "")
  .allowExcessArguments(false)
  .parse();
const options = command.opts<PartOptions>();

try {
  if (process.getuid?.() !== 0) {
    throw new SluiceError("SLUICE_BENCH", "the bench loads BPF programs and makes namespaces", {
      remedy: "Run it as root",
    });
  }
  sweep();
  const result = await runParts();
  if (result.sections.length === 0) {
    throw new SluiceError("SLUICE_BENCH", `nothing has ${options.only} in its name`, {
      remedy:
        "Names begin with packets, wire, control, projection, cluster, cni or pods, and go on as in bench/RESULTS.md",
    });
  }
  const report = renderReport(machineFacts(), result);
  console.log(report);
  if (!options.quick && options.only === "") writeFileSync(RESULTS, report);
} catch (error) {
  console.error(error instanceof SluiceError ? error.message : error);
  process.exitCode = 1;
}

async function runParts(): Promise<PartResult> {
  const results: PartResult[] = [];
  for (const { name, wrapper } of parts) {
    const progress = (text: string) => console.error(`${name}: ${text}`);
    results.push(await startPart(name, wrapper, options, progress));
  }
  return {
    sections: results.flatMap(({ sections }) => sections),
    targets: results.flatMap(({ targets }) => targets),
  };
}
