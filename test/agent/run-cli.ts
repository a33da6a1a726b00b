import { Readable } from "node:stream";
import { runCli } from "../../operator/cli/program.js";

export interface CliRun {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface CliRunOptions {
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
  { env = {}, columns, rows, signal, typed, onOutput }: CliRunOptions = {},
): Promise<CliRun> {
  let out = "";
  let err = "";
  const isTTY = columns !== undefined;
  const stdin = Object.assign(Readable.from(typed === undefined ? [] : [typed]), {
    isTTY: typed !== undefined,
  });
  const code = await runCli(words, {
    stdout: {
      isTTY,
      columns,
      rows,
      write(text) {
        out += text;
        onOutput?.(out);
      },
    },
    stderr: { write: (text) => void (err += text) },
    stdin,
    env,
    signal: signal ?? new AbortController().signal,
  });
  return { code, out, err };
}
