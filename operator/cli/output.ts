import picocolors from "picocolors";
import { stringify } from "yaml";
import type { CliIo } from "./io.js";
import { type Column, renderTable } from "./table.js";

export const outputFormats = ["text", "json", "yaml"] as const;
export type OutputFormat = (typeof outputFormats)[number];
export type Colors = ReturnType<typeof picocolors.createColors>;

/** Where the answers of one command go. */
export interface Output {
  readonly format: OutputFormat;
  readonly colors: Colors;
  /** Standard output is a terminal and the format is for people. */
  readonly isLive: boolean;
  /** The answer: as a document for programs, as text for people. */
  show(value: unknown, text: () => string): void;
  /** As `show` where there are many answers: one document per line, or per `---`. */
  showNext(value: unknown, text: () => string): void;
  /** A remark for people, on standard error, so that it never mixes with documents. */
  note(text: string): void;
  table(columns: readonly Column[], rows: readonly (readonly string[])[]): string;
}

/** Colours are for terminals only, and not with NO_COLOR (no-color.org). */
export function createOutput(io: CliIo, format: OutputFormat): Output {
  const isTerminal = io.stdout.isTTY === true;
  const hasColors = isTerminal && !io.env["NO_COLOR"] && io.env["TERM"] !== "dumb";
  const colors = picocolors.createColors(hasColors);
  const isLive = isTerminal && format === "text" && io.env["TERM"] !== "dumb";
  return {
    format,
    colors,
    isLive,
    show(value, text) {
      if (format === "json") io.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
      else if (format === "yaml") io.stdout.write(stringify(value));
      else io.stdout.write(withLineEnd(text()));
    },
    showNext(value, text) {
      if (format === "json") io.stdout.write(`${JSON.stringify(value)}\n`);
      else if (format === "yaml") io.stdout.write(`---\n${stringify(value)}`);
      else io.stdout.write(withLineEnd(text()));
    },
    note(text) {
      io.stderr.write(withLineEnd(text));
    },
    table: (columns, rows) =>
      renderTable(columns, rows, {
        width: isTerminal ? io.stdout.columns : undefined,
        title: colors.bold,
      }),
  };
}

function withLineEnd(text: string): string {
  return text.endsWith("\n") || text === "" ? text : `${text}\n`;
}
