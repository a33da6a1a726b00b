import type { Readable } from "node:stream";

/** A stream for people: a terminal, a pipe or a test's buffer. */
export interface TextSink {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  /** Width of the terminal. */
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

/** What sluicectl has of its surroundings. */
export interface CliIo {
  readonly stdout: TextSink;
  readonly stderr: TextSink;
  readonly stdin: Readable & { readonly isTTY?: boolean | undefined };
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborts when the user wants an endless command to end. */
  readonly signal: AbortSignal;
}
