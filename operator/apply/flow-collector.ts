import { setTimeout as sleep } from "node:timers/promises";
import { ConnectionKey, Flow } from "../../datapath/generated/layout.js";
import type { BpfMap } from "../../datapath/index.js";
import { viewOf } from "./flow-bytes.js";

/** Flows looked at, and taken out, in one turn of the event loop: about half a millisecond each. */
export const FLOWS_PER_TURN = 1024;
export const REMOVALS_PER_TURN = 256;
/** Between two turns: a full table of a million is looked through in ten seconds. */
const PAUSE_MS = 10;
/** Flows are taken out that have been over for so long: the clocks of CPUs differ, and a late packet may come. */
const MARGIN_SECONDS = 1;
const SECOND_NS = 1_000_000_000n;

/** What one look through the whole table found. */
export interface FlowPass {
  /** Flows that were seen and stay. */
  readonly kept: number;
  readonly expired: number;
}

type FlowMap = Pick<BpfMap<ConnectionKey, Flow>, "slices" | "lookupAndDelete" | "update">;

/**
 * Looks through the table of flows once, in slices with pauses between them, and takes out what is over by its own
 * lifetime. The kernel has no “delete if unchanged”, so a flow is taken out and looked at again: when a packet has
 * renewed it since the slice was read, it is put back, unless programs have made it anew by then. It is away for
 * some microseconds, and only an answer that comes in them is judged as if nobody had asked.
 *
 * @param pause called between turns
 */
export async function collectFlows(
  flows: FlowMap,
  signal: AbortSignal,
  pause: () => Promise<unknown> = () => sleep(PAUSE_MS),
): Promise<FlowPass> {
  let kept = 0;
  let expired = 0;
  let removals = 0;
  for (const { keys, values, count } of flows.slices(FLOWS_PER_TURN)) {
    if (signal.aborted) break;
    const view = viewOf(values);
    const nowNs = Number(process.hrtime.bigint());
    for (let index = 0; index < count; index++) {
      if (!isLongOver(view, index * Flow.size, nowNs)) {
        kept++;
        continue;
      }
      if (removals === REMOVALS_PER_TURN) {
        removals = 0;
        await pause();
        if (signal.aborted) break;
      }
      removals++;
      if (takeOut(flows, ConnectionKey.decode(viewOf(keys), index * ConnectionKey.size))) expired++;
      else kept++;
    }
    removals = 0;
    await pause();
  }
  return { kept, expired };
}

/** @returns false when it is not over after all, or was not there any more */
function takeOut(flows: FlowMap, key: ConnectionKey): boolean {
  const flow = flows.lookupAndDelete(key);
  if (flow === undefined) return false;
  const quietNs = process.hrtime.bigint() - flow.lastNs;
  if (quietNs > BigInt(flow.lifetimeS + MARGIN_SECONDS) * SECOND_NS) return true;
  flows.update(key, flow, "noexist");
  return false;
}

/** As a double: a few hundred nanoseconds more or less do not matter, and millions of these are looked at. */
function isLongOver(view: DataView, at: number, nowNs: number): boolean {
  const last = at + Flow.offsets.lastNs;
  const lastNs = view.getUint32(last + 4, true) * 2 ** 32 + view.getUint32(last, true);
  const lifetimeS = view.getUint32(at + Flow.offsets.lifetimeS, true);
  return nowNs - lastNs > (lifetimeS + MARGIN_SECONDS) * 1e9;
}
