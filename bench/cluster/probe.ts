/** Runs inside of what is measured: time, CPU and the event loop of its own process. */
import { openSync, readSync } from "node:fs";

/** Since the last time it was asked. */
export interface ProbeFigures {
  readonly wallMs: number;
  /** Of all threads. */
  readonly cpuMs: number;
  /** The longest time for which the event loop did not come round. */
  readonly stallMs: number;
  /** CPU time that its thread had in that time: what is missing, others had the CPU. */
  readonly stallCpuMs: number;
  /** From write to handler, of each change. */
  readonly delaysMs: readonly number[];
}

/** What the parent asks, one thing at a time. `start` is answered when all is in sync. */
export type ProbeRequest = "start" | "mark" | "collect";
export type ProbeAnswer = ProbeFigures | { readonly failure: string };

/** How a subject tells what it saw. */
export interface Report {
  /** A slice changed that names the time of its change. */
  changed(triggeredAtMs: number | undefined): void;
}

const tickMs = 1;

/**
 * Body of a subject's process.
 *
 * @param start resolves when the subject has all objects
 */
export function runSubject(start: (report: Report) => Promise<void>): void {
  let delaysMs: number[] = [];
  let stall = { ms: 0, cpuMs: 0 };
  let begun = { ms: performance.now(), cpuMs: cpuMs() };
  let last = { ms: performance.now(), threadMs: threadMs() };
  setInterval(() => {
    const now = { ms: performance.now(), threadMs: threadMs() };
    const gap = now.ms - last.ms - tickMs;
    if (gap > stall.ms) stall = { ms: gap, cpuMs: now.threadMs - last.threadMs };
    last = now;
  }, tickMs);
  const mark = (): ProbeFigures => {
    const now = { ms: performance.now(), cpuMs: cpuMs() };
    const figures = {
      wallMs: now.ms - begun.ms,
      cpuMs: now.cpuMs - begun.cpuMs,
      // A gap that has not ended yet counts too.
      stallMs: Math.max(stall.ms, now.ms - last.ms - tickMs),
      stallCpuMs: stall.cpuMs,
      delaysMs,
    };
    begun = now;
    delaysMs = [];
    stall = { ms: 0, cpuMs: 0 };
    return figures;
  };
  const report: Report = {
    changed(triggeredAtMs) {
      if (triggeredAtMs === undefined) return;
      delaysMs.push(performance.timeOrigin + performance.now() - triggeredAtMs);
    },
  };
  const answer = async (request: ProbeRequest): Promise<ProbeFigures> => {
    mark();
    if (request === "start") await start(report);
    if (request === "collect") globalThis.gc?.();
    return mark();
  };
  process.on("message", (request: ProbeRequest) => {
    const send = (answer: ProbeAnswer) => process.send?.(answer);
    if (request === "mark") {
      send(mark());
      return;
    }
    answer(request).then(send, (error: unknown) => {
      send({ failure: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    });
  });
  process.on("disconnect", () => process.exit(0));
}

const schedstat = openSync(`/proc/self/task/${process.pid}/schedstat`, "r");
const schedstatText = Buffer.alloc(64);

/** CPU time of the thread of the event loop; asked for each millisecond, so it must cost little. */
function threadMs(): number {
  const length = readSync(schedstat, schedstatText, 0, schedstatText.length, 0);
  return Number.parseInt(schedstatText.toString("latin1", 0, length), 10) / 1e6;
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
