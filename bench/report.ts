import type { PartResult, Section, Target } from "./result.js";

/** The whole report as Markdown. */
export function renderReport(
  facts: readonly (readonly [name: string, value: string])[],
  { sections, targets }: PartResult,
): string {
  const parts = [
    "# Results of the bench",
    "Written by `npm run bench`. [docs/bench.md](../docs/bench.md) says how it measures and how to read it.",
    facts.map(([name, value]) => `- ${name}: ${value}`).join("\n"),
    ...(targets.length === 0 ? [] : [renderTargets(targets)]),
    ...sections.map(renderSection),
  ];
  return `${parts.join("\n\n")}\n`;
}

function renderTargets(targets: readonly Target[]): string {
  const rows = targets.map(({ what, goal, measured, isReached }) => [
    what,
    goal,
    measured,
    isReached ? "yes" : "**no**",
  ]);
  return `## Targets\n\n${table(["what", "target", "measured", "reached"], rows)}`;
}

function renderSection({ title, columns, rows, notes }: Section): string {
  return [`## ${title}`, table(columns, rows), ...notes].join("\n\n");
}

/** Columns as wide as their widest cell, so that the text is readable in a terminal as well. */
function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map((column, at) =>
    Math.max(3, column.length, ...rows.map((row) => row[at]?.length ?? 0)),
  );
  const isNumeric = columns.map((_, at) => rows.every((row) => /^[\d.,]*$/.test(row[at] ?? "")));
  const line = (cells: readonly string[]) => {
    const padded = widths.map((width, at) => {
      const cell = cells[at] ?? "";
      return isNumeric[at] ? cell.padStart(width) : cell.padEnd(width);
    });
    return `| ${padded.join(" | ")} |`;
  };
  const rule = widths.map((width, at) => `${"-".repeat(width - 1)}${isNumeric[at] ? ":" : "-"}`);
  return [line(columns), line(rule), ...rows.map(line)].join("\n");
}
