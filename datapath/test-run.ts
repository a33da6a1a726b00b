import { describeMissing } from "./capabilities.js";
import { datapathError } from "./errors.js";
import { isPermission, libbpf, libbpfError } from "./libbpf.js";
import { decodeOpts, encodeOpts } from "./libbpf-opts.js";
import type { Program } from "./programs.js";
import type { XdpContext } from "./xdp-context.js";
import { encodeXdpContext } from "./xdp-context.js";

export interface TestRunOptions {
  /** The packet, from its Ethernet header on; XDP and tc need at least 14 bytes. */
  readonly packet: Uint8Array;
  /** Where the packet is said to come from: an interface of this network namespace and its queue. */
  readonly context?: XdpContext | undefined;
  /** Bytes of another context, such as a `struct __sk_buff`; not together with `context`. */
  readonly contextBytes?: Uint8Array | undefined;
  /**
   * How often to run; the same packet buffer is used again. Default 1. More than 1 makes the kernel
   * install the program in its XDP dispatcher, which takes some 30 ms per call whatever the number.
   */
  readonly repeat?: number | undefined;
  /** Bytes by which the packet may grow. Default 256. */
  readonly growth?: number | undefined;
}

/** Options of a run whose verdicts are carried out. */
export interface LiveRunOptions {
  /** The frame, filled in anew for the first round of each frame of a batch. */
  readonly packet: Uint8Array;
  readonly context: XdpContext;
  /** How many frames. Default 1. */
  readonly repeat?: number | undefined;
}

export interface TestRunResult {
  /** Return value of the program, such as `XdpAction.drop`. */
  readonly verdict: number;
  /** The packet after the last run. */
  readonly packet: Buffer;
  /** The context after the last run; empty when none was given. */
  readonly context: Buffer;
  /** Mean of one run, in whole nanoseconds. */
  readonly durationNs: number;
}

/** Verdicts of XDP programs. */
export const XdpAction = { aborted: 0, drop: 1, pass: 2, tx: 3, redirect: 4 } as const;
/** Verdicts of tc programs; `next` goes on with the next program of a tcx list. */
export const TcAction = { next: -1, ok: 0, shot: 2, redirect: 7 } as const;

/** `BPF_F_TEST_XDP_LIVE_FRAMES`: verdicts are carried out. */
const liveFramesFlag = 1 << 1;

/** The buffers of one run, which must outlive the call. */
interface Run {
  readonly opts: Buffer;
  readonly data: Buffer;
  readonly context: Buffer;
  readonly inputs: readonly unknown[];
}

function prepare(options: TestRunOptions): Run {
  const { packet, context, contextBytes, repeat = 1, growth = 256 } = options;
  const contextIn = context === undefined ? contextBytes : encodeXdpContext(context, packet.length);
  const data = Buffer.alloc(packet.length + growth);
  const contextOut = Buffer.alloc(contextIn?.length ?? 0);
  const opts = encodeOpts("testRun", {
    data_in: packet,
    data_size_in: packet.length,
    data_out: data,
    data_size_out: data.length,
    ctx_in: contextIn ?? null,
    ctx_size_in: contextIn?.length ?? 0,
    ctx_out: contextIn === undefined ? null : contextOut,
    ctx_size_out: contextOut.length,
    repeat,
  });
  return { opts, data, context: contextOut, inputs: [packet, contextIn] };
}

function finish(program: Program, run: Run, result: number): TestRunResult {
  if (result < 0) throw runError(program, result);
  const out = decodeOpts<"retval" | "duration" | "data_size_out" | "ctx_size_out">(
    "testRun",
    run.opts,
  );
  return {
    verdict: out.retval | 0,
    packet: run.data.subarray(0, out.data_size_out),
    context: run.context.subarray(0, out.ctx_size_out),
    durationNs: out.duration,
  };
}

function runError(program: Program, result: number) {
  const cause = libbpfError("bpf_prog_test_run_opts", result);
  const missing = isPermission(result) ? describeMissing(["CAP_BPF", "CAP_NET_ADMIN"]) : undefined;
  return datapathError(
    missing === undefined ? "SLUICE_TEST_RUN_FAILED" : "SLUICE_NO_CAPABILITY",
    `cannot run program ${program.name} on a packet: ${missing ?? cause.code}`,
    { cause },
  );
}

/**
 * Runs a loaded program on a packet, on its live maps (`BPF_PROG_TEST_RUN`). Verdicts are returned
 * and not carried out. Blocks for the time of all runs.
 *
 * @throws SluiceError SLUICE_TEST_RUN_FAILED, SLUICE_NO_CAPABILITY
 */
export function testRun(program: Program, options: TestRunOptions): TestRunResult {
  const run = prepare(options);
  return finish(program, run, libbpf().bpf_prog_test_run_opts(program.fd, run.opts));
}

/** {@link testRun} on another thread, for long repetitions. */
export async function testRunAsync(
  program: Program,
  options: TestRunOptions,
): Promise<TestRunResult> {
  const run = prepare(options);
  return finish(program, run, await onPool(program, run));
}

/**
 * Runs an XDP program on frames whose verdicts are carried out: passed frames enter the stack as
 * received by the interface of the context, redirected and returned ones leave. Kernel 5.18 or later.
 *
 * The kernel fills the frames of a batch once, so a program that changes packets sees its own changes
 * when a frame comes round again. Blocks for the time of all frames.
 *
 * @param options.context needed: its interface receives the frames
 * @param batchSize frames at a time, 1–256
 * @throws SluiceError SLUICE_TEST_RUN_FAILED, SLUICE_NO_CAPABILITY
 */
export function testRunLive(program: Program, options: LiveRunOptions, batchSize = 64): void {
  const run = prepareLive(options, batchSize);
  const result = libbpf().bpf_prog_test_run_opts(program.fd, run.opts);
  if (result < 0) throw runError(program, result);
}

/**
 * {@link testRunLive} on another thread, which is in the network namespace that this process started
 * in: the interface of the context is looked for there.
 */
export async function testRunLiveAsync(
  program: Program,
  options: LiveRunOptions,
  batchSize = 64,
): Promise<void> {
  const result = await onPool(program, prepareLive(options, batchSize));
  if (result < 0) throw runError(program, result);
}

function prepareLive({ packet, context, repeat = 1 }: LiveRunOptions, batchSize: number): Run {
  const contextIn = encodeXdpContext(context, packet.length);
  const opts = encodeOpts("testRun", {
    data_in: packet,
    data_size_in: packet.length,
    ctx_in: contextIn,
    ctx_size_in: contextIn.length,
    repeat,
    flags: liveFramesFlag,
    batch_size: batchSize,
  });
  const none = Buffer.alloc(0);
  return { opts, data: none, context: none, inputs: [packet, contextIn] };
}

/** Runs under way on another thread: koffi does not keep the buffers of a call alive. */
const underWay = new Set<Run>();

function onPool(program: Program, run: Run): Promise<number> {
  underWay.add(run);
  return new Promise((resolve, reject) => {
    const done = (error: unknown, result: number) => {
      underWay.delete(run);
      if (error) reject(error);
      else resolve(result);
    };
    try {
      libbpf().bpf_prog_test_run_opts.async(program.fd, run.opts, done);
    } catch (error) {
      // More calls at a time than koffi has places for (256).
      done(error, 0);
    }
  });
}
