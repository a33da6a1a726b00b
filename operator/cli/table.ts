import Table from "cli-table3";
import { visible } from "./visible.js";

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

/** Two blanks between columns and no lines: as kubectl, and good for grep and awk. */
const chars = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
};

export interface TableStyle {
  /** Width that the last column is cut to fit; absent: nothing is cut. */
  readonly width?: number | undefined;
  readonly title: (text: string) => string;
}

/**
 * Lines of a table. Cells may carry colours.
 *
 * @returns without a line end behind the last line
 */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  style: TableStyle,
): string {
  const cells = [columns.map(({ title }) => style.title(title)), ...rows];
  const table = new Table({
    chars,
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [], compact: true },
    colAligns: columns.map(({ align }) => align ?? "left"),
    colWidths: fit(columns.length, cells, style.width),
    wordWrap: false,
  });
  table.push(...cells.map((row) => [...row]));
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

const leastLastColumn = 16;
const gap = 2;

function fit(
  count: number,
  rows: readonly (readonly string[])[],
  width: number | undefined,
): (number | null)[] {
  if (width === undefined || count === 0) return [];
  const widest = (column: number) =>
    Math.max(...rows.map((row) => visible(row[column] ?? "").length));
  let used = 0;
  for (let column = 0; column < count - 1; column++) used += widest(column) + gap;
  const left = Math.max(leastLastColumn, width - used);
  if (widest(count - 1) <= left) return [];
  const widths: (number | null)[] = Array.from({ length: count }, () => null);
  widths[count - 1] = left;
  return widths;
}
