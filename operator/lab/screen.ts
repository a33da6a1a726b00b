import pc from "picocolors";
import { type Line, type Paint, paintLine, type Style } from "./view.js";

/** Draws frames over each other at the place of the first. */
export interface Screen {
  readonly width: () => number;
  readonly height: () => number;
  readonly draw: (lines: readonly Line[]) => void;
  /** Leaves the last frame, and the terminal as it was. */
  readonly close: () => void;
}

const styles: Readonly<Record<Style, (text: string) => string>> = {
  plain: (text) => text,
  title: pc.bold,
  faint: pc.dim,
  good: pc.green,
  bad: pc.red,
  warn: pc.yellow,
  info: pc.cyan,
};

/** Colours, unless the environment asks for none (NO_COLOR). */
export const paint: Paint = (style, text) => styles[style](text);

const escape = "\x1b[";
const hideCursor = `${escape}?25l`;
const showCursor = `${escape}?25h`;
const clearLine = `${escape}K`;
const clearBelow = `${escape}J`;
const clearAll = `${escape}2J${escape}H`;

/** @param output a terminal */
export function openScreen(output: NodeJS.WriteStream): Screen {
  let drawn = 0;
  // A narrower terminal wraps what is on it, and the place of the first line is lost.
  const onResize = () => {
    output.write(clearAll);
    drawn = 0;
  };
  output.on("resize", onResize);
  output.write(hideCursor);
  return {
    width: () => output.columns || 80,
    // The last row stays free for the cursor: a line feed there would scroll.
    height: () => (output.rows || 24) - 1,
    draw(lines) {
      const text = lines.map(
        (line) => `${paintLine(line, output.columns || 80, paint)}${clearLine}\n`,
      );
      output.write(`${drawn > 0 ? `${escape}${drawn}A` : ""}\r${text.join("")}${clearBelow}`);
      drawn = lines.length;
    },
    close() {
      output.off("resize", onResize);
      output.write(showCursor);
    },
  };
}
