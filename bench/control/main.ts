/** How long changes take to be in force, and what memory they need: docs/bench.md, "Control path". */
import { runPart } from "../part.js";
import {
  formatNumber,
  type PartResult,
  percentile,
  type Section,
  spread,
  type Target,
} from "../result.js";
import { type AgentFigures, measureAgent } from "./agent.js";
import { millionManifests } from "./manifests.js";
import { type ControlTimes, measureControl } from "./stages.js";

const full = { rounds: 5, entryEdits: 200, textEdits: 20, ruleEdits: 50 };
const quick = { rounds: 1, entryEdits: 20, textEdits: 5, ruleEdits: 10 };
const mostLoadMs = 500;

await runPart(async (options, progress): Promise<PartResult> => {
  const isWanted = (name: string) => `control ${name}`.includes(options.only);
  const sections: Section[] = [];
  const targets: Target[] = [];
  if (isWanted("stages")) {
    const times = await measureControl(options.quick ? quick : full, progress);
    sections.push(stageSection(times));
    targets.push(loadTarget(times));
  }
  if (isWanted("agent")) {
    progress("agent");
    sections.push(agentSection(await measureAgent(millionManifests())));
  }
  return { sections, targets };
});

/** What the target counts: from parsed text to the last packet judged by it. */
function enforceTimes({ load }: ControlTimes): readonly number[] {
  return load.enforce.map((enforce, round) => enforce + load.content[round]!);
}

function loadTarget(times: ControlTimes): Target {
  const { min, median } = spread(enforceTimes(times));
  return {
    what: "1 M CIDRs from parsed text to enforced",
    goal: `≤ ${mostLoadMs} ms`,
    measured: `median ${formatNumber(median)} ms, min ${formatNumber(min)}`,
    isReached: median <= mostLoadMs,
  };
}

function stageSection(times: ControlTimes): Section {
  const { load, edits } = times;
  const rows: readonly (readonly [what: string, values: readonly number[]])[] = [
    ["load of the programs: verifier and tables", load.open],
    ["1 M CIDRs: text of 20 files to records", load.parse],
    ["1 M CIDRs: records to content and rules", load.content],
    ["1 M CIDRs: content to enforced", load.enforce],
    ["· of which the address tables alone", load.tables],
    ["1 M CIDRs: records to enforced, together", enforceTimes(times)],
    ["one entry exchanged at 1 M, from records", edits.entry],
    ["one entry exchanged at 1 M, from the text of its file", edits.entryFromText],
    ["one rule added or removed at 1 M", edits.rule],
  ];
  return {
    title: "Control path",
    columns: ["what", "ms, min", "median", "p99", "times"],
    rows: rows.map(([what, values]) => {
      const { min, median } = spread(values);
      const p99 = values.length < 20 ? "" : formatNumber(percentile(values, 0.99));
      return [what, formatNumber(min), formatNumber(median), p99, String(values.length)];
    }),
    notes: [],
  };
}

function agentSection({ startMs, ownMiB, residentMiB, peakMiB, editMs }: AgentFigures): Section {
  const edit = spread(editMs);
  return {
    title: "An agent with 1 M CIDRs",
    columns: ["what", "figure"],
    rows: [
      ["start of the process to 21 files in force", `${formatNumber(startMs)} ms`],
      ["a policy's file saved to in force, median", `${formatNumber(edit.median)} ms`],
      ["memory of its own (RssAnon)", `${formatNumber(ownMiB)} MiB`],
      ["resident, mapped tables and files included (VmRSS)", `${formatNumber(residentMiB)} MiB`],
      ["peak while loading (VmHWM)", `${formatNumber(peakMiB)} MiB`],
    ],
    notes: [],
  };
}
