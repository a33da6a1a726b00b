/** Command line of the fuzzer: `npm run fuzz -- --cases N --seed S`. Exit status 1: a finding. */

import { parseArgs } from "node:util";
import { describeFinding } from "./report.js";
import { type RunSummary, runFuzz } from "./runner.js";
import { oracleSubject, type Subject } from "./subject.js";

const USAGE = `Usage: npm run fuzz -- [options]
Random policies and packets: the kernel's answer must be the oracle's.
  --cases N              packets to judge (default 100000)
  --seed S               same seed, same cases (default: a new one, printed)
  --packets-per-world M  packets for each set of policies (default 200)
  --only-case I          only the case with this number, as a finding names it
  --subject NAME         kernel (default), or oracle: the oracle against itself;
                         pods: network policies, by the pods' programs
`;

const PROGRESS_MS = 2000;

/** What a module of a subject exports. */
interface SubjectModule {
  readonly openSubject: () => Promise<Subject>;
}

interface Options {
  readonly cases: number;
  readonly seed: number;
  readonly packetsPerWorld: number;
  readonly firstCase: number;
  readonly subject: "kernel" | "oracle" | "pods";
}

function readOptions(args: readonly string[]): Options | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      cases: { type: "string", default: "100000" },
      seed: { type: "string", default: String(Date.now() % 2 ** 32) },
      "packets-per-world": { type: "string", default: "200" },
      "only-case": { type: "string" },
      subject: { type: "string", default: "kernel" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    return "help";
  }
  const { subject } = values;
  if (subject !== "kernel" && subject !== "oracle" && subject !== "pods") {
    throw new Error(`--subject ${subject}: unknown; use kernel, oracle or pods`);
  }
  const packetsPerWorld = wholeNumber("--packets-per-world", values["packets-per-world"], 1);
  const onlyCase = values["only-case"];
  const firstCase = onlyCase === undefined ? 0 : wholeNumber("--only-case", onlyCase, 0);
  return {
    cases: onlyCase === undefined ? wholeNumber("--cases", values.cases, 1) : packetsPerWorld,
    seed: wholeNumber("--seed", values.seed, 0),
    packetsPerWorld,
    firstCase,
    subject,
  };
}

function wholeNumber(option: string, text: string, least: number): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isSafeInteger(value) || value < least) {
    throw new Error(`${option} ${text}: give a whole number from ${least} on`);
  }
  return value;
}

async function openSubject(name: Options["subject"]): Promise<Subject> {
  if (name === "oracle") {
    return oracleSubject();
  }
  // By a variable: the kernel's side is built separately and loaded only when asked for.
  const path = "./kernel-subject.js";
  const module = (await import(path)) as SubjectModule;
  return module.openSubject();
}

function progressLine(
  { packets, worlds, skipped }: RunSummary,
  cases: number,
  sinceMs: number,
): string {
  const perSecond = Math.round(packets / (sinceMs / 1000));
  const late = skipped > 0 ? `, ${skipped} not compared (too slow)` : "";
  return `${packets} of ${cases} packets, ${worlds} worlds, ${perSecond} packets per second${late}`;
}

function summaryLines({ findings, agreed, answers }: RunSummary): string {
  const table = [...answers]
    .sort(([, a], [, b]) => b - a)
    .map(([answer, count]) => `  ${String(count).padStart(10)}  ${answer}`);
  const end = findings.length === 0 ? "no finding" : `${findings.length} findings`;
  return [`${agreed} packets agreed:`, ...table, end].join("\n");
}

async function main(args: readonly string[]): Promise<number> {
  let options: Options | "help";
  try {
    options = readOptions(args);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    return 2;
  }
  if (options === "help") {
    process.stdout.write(USAGE);
    return 0;
  }
  const { cases, seed } = options;
  process.stdout.write(`seed ${seed}\n`);
  if (options.subject === "pods") {
    const { fuzzPods } = await import("./pods.js");
    const pods = { ...options, packetsPerCluster: options.packetsPerWorld };
    return (await fuzzPods(pods, (line) => process.stdout.write(`${line}\n`))) === 0 ? 0 : 1;
  }
  const subject = await openSubject(options.subject);
  try {
    const startedAt = performance.now();
    let shownAt = startedAt;
    const summary = await runFuzz(subject, {
      ...options,
      onFinding: (finding) => process.stdout.write(`${describeFinding(finding)}\n`),
      onProgress: (soFar) => {
        const now = performance.now();
        if (now - shownAt >= PROGRESS_MS) {
          shownAt = now;
          process.stdout.write(`${progressLine(soFar, cases, now - startedAt)}\n`);
        }
      },
    });
    process.stdout.write(`${progressLine(summary, cases, performance.now() - startedAt)}\n`);
    process.stdout.write(`${summaryLines(summary)}\n`);
    return summary.findings.length === 0 ? 0 : 1;
  } finally {
    await subject.close();
  }
}

process.exitCode = await main(process.argv.slice(2));
