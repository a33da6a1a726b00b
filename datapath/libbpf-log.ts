import koffi from "koffi";
import { libbpf } from "./libbpf.js";
import { libc } from "./libc.js";

/** Levels of libbpf's print callback; debug lines are not kept. */
const levelDebug = 2;
/** Longest line kept; a verifier log does not come this way but through its own buffer. */
const lineBytes = 4096;

const printType = koffi.pointer(
  koffi.proto("int sluice_libbpf_print(int level, const void *format, void *list)"),
);

let capturing = false;

/**
 * Collects what libbpf would print to stderr while `work` runs. The callback is global in libbpf, so
 * callers take turns; `work` may run on another thread, whose lines are then handed to this one.
 *
 * @returns the result of `work`; warnings and notes are appended to `lines`
 */
export async function captureLog<T>(lines: string[], work: () => Promise<T>): Promise<T> {
  const stop = startCapture(lines);
  try {
    return await work();
  } finally {
    stop();
  }
}

/** {@link captureLog} for work that is done when it returns. */
export function captureLogSync<T>(lines: string[], work: () => T): T {
  // A capture of a load on another thread is under way: these lines go there, and none are lost.
  if (capturing) return work();
  const stop = startCapture(lines);
  try {
    return work();
  } finally {
    stop();
  }
}

function startCapture(lines: string[]): () => void {
  const line = Buffer.alloc(lineBytes);
  const print = (level: number, format: bigint, list: bigint): number => {
    if (level >= levelDebug) return 0;
    // A va_list is handed on as a pointer on x86-64 and, by the procedure call standard, on arm64.
    const length = libc().vsnprintf(line, lineBytes, format, list);
    const text = line.toString("utf8", 0, Math.min(length, lineBytes - 1)).trimEnd();
    lines.push(text.replace(/^libbpf: /, ""));
    return 0;
  };
  const callback = koffi.register(print, printType);
  libbpf().libbpf_set_print(callback);
  capturing = true;
  return () => {
    libbpf().libbpf_set_print(null);
    koffi.unregister(callback);
    capturing = false;
  };
}
