import { Readable } from "node:stream";
import type { CliMode } from "../../operator/cli/agent-command.js";
import { runCli } from "../../operator/cli/program.js";

export interface CliRun {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface CliRunOptions {
  /** Default `node`: sluicectl; `cluster`: kubectl sluice. */
  readonly mode?: CliMode;
  readonly env?: Readonly<Record<string, string>>;
  /** Columns of the terminal that standard output is; absent: it is a pipe. */
  readonly columns?: number;
  readonly rows?: number;
  readonly signal?: AbortSignal;
  /** What the user types; absent: standard input is no terminal. */
  readonly typed?: string;
  /** Called with all output so far. */
  readonly onOutput?: (out: string) => void;
}

/** Runs `sluicectl` in this process and keeps what it writes. */
export async function runSluicectl(
  words: readonly string[],
  { mode = "node", env = {}, columns, rows, signal, typed, onOutput }: CliRunOptions = {},
): Promise<CliRun> {
  let out = "";
  let err = "";
  const isTTY = columns !== undefined;
  const stdin = Object.assign(Readable.from(typed === undefined ? [] : [typed]), {
    isTTY: typed !== undefined,
  });
  const io = {
    stdout: {
      isTTY,
      columns,
      rows,
      write(text: string) {
        out += text;
        onOutput?.(out);
      },
    },
    stderr: { write: (text: string) => void (err += text) },
    stdin,
    env,
    signal: signal ?? new AbortController().signal,
  };
  const code = await runCli(words, io, mode);
  return { code, out, err };
}
