import { PodDelivery, PodTraceFlags, Trace } from "../../datapath/generated/layout.js";
import { testRun } from "../../datapath/index.js";
import type { PodTraceQuery, PodTraceStep } from "../api/engine.js";
import { describeFlow, type FlowEnds, newestPort, readFlowEnds } from "./flow-lookup.js";
import { macBytes } from "./pod-link.js";
import { keyOf } from "./pod-objects.js";
import { needAttached, type Surroundings } from "./pod-places.js";
import type { PodPicture } from "./pod-report.js";
import type { SlotOwner } from "./rule-slots.js";
import { describeTrace } from "./tracer.js";

/** `struct __sk_buff`, and where in it stands what a run is given. */
const CONTEXT = { bytes: 192, ingressIfindex: 36, ifindex: 40, cb: 48 };
/** Any interface: only packets of the node itself came in by none. */
const SOME_INTERFACE = 1;

const DELIVERIES: Readonly<Record<number, PodTraceStep["delivery"]>> = {
  [PodDelivery.DELIVERY_POD]: "pod",
  [PodDelivery.DELIVERY_ROUTE]: "route",
};

export interface PodTracing extends Pick<PodPicture, "datapath" | "firewall" | "slots" | "rules"> {
  readonly around: Surroundings;
  readonly gatewayMac: string;
}

/**
 * As {@link traceNow}; for the flow that was used last, looks through the flow table first.
 *
 * @throws SluiceError as `traceNow`
 */
export async function tracePod(tracing: PodTracing, query: PodTraceQuery): Promise<PodTraceStep> {
  const frame = Buffer.from(query.frame);
  const ends = query.flow === "newest" ? readFlowEnds(frame) : undefined;
  if (ends?.portAt !== undefined) {
    const port = await newestPort(tracing.datapath.flows, ends);
    if (port !== undefined) frame.writeUInt16BE(port, ends.portAt);
  }
  return traceNow(tracing, { ...query, frame });
}

/**
 * Runs the pods' trace program on a packet that a pod sends or receives: the code of the programs on its link, on the
 * live tables, which stay as they are.
 *
 * @throws SluiceError SLUICE_UNKNOWN_POD, SLUICE_NOT_ATTACHED, SLUICE_TEST_RUN_FAILED
 */
export function traceNow(tracing: PodTracing, query: PodTraceQuery): PodTraceStep {
  const { datapath, firewall, around } = tracing;
  const entry = needAttached(around, query.pod);
  const { direction } = query;
  const frame = Buffer.from(query.frame);
  /* Destination and source of the link. */
  const macs = [macBytes(tracing.gatewayMac), macBytes(entry.link.mac)];
  frame.set(Buffer.concat(direction === "egress" ? macs : macs.toReversed()));
  const ends = readFlowEnds(frame);
  const context = Buffer.alloc(CONTEXT.bytes);
  const comesIn = ends === undefined || !isOwn(around, ends);
  context.writeUInt32LE(comesIn ? SOME_INTERFACE : 0, CONTEXT.ingressIfindex);
  context.writeUInt32LE(entry.place.index, CONTEXT.ifindex);
  context.writeUInt32LE(
    (direction === "ingress" ? PodTraceFlags.POD_TRACE_INGRESS : 0) |
      (query.flow === undefined ? 0 : PodTraceFlags.POD_TRACE_FLOW),
    CONTEXT.cb,
  );
  /* All runs share one record: nothing may come between the run and the look at it. */
  testRun(datapath.podTrace, { packet: frame, contextBytes: context });
  const trace = Trace.decode(datapath.traces.view, 0);
  const owner = ownerOf(tracing);
  const result = describeTrace(trace, { owner, addresses: firewall.addresses });
  const flow =
    query.flow === undefined || ends === undefined
      ? undefined
      : describeFlow(
          { flows: datapath.flows, generation: firewall.generation.number, owner },
          ends,
          direction,
        );
  return {
    direction,
    pod: entry.record === undefined ? query.pod : keyOf(entry.record),
    node: around.nodeName,
    ...result,
    isClosed: result.verdict === "drop" && result.reason === "not-judged",
    delivery: DELIVERIES[trace.delivery] ?? "stack",
    ...(flow !== undefined && { flow }),
  };
}

/** Rules by their full names. */
function ownerOf({ slots, rules }: PodTracing): (slot: number) => SlotOwner | undefined {
  const full = (name: string) => rules?.fullNames.get(name) ?? name;
  return (slot) => {
    const owner = slots.owner(slot);
    return owner && { policy: full(owner.policy), rule: full(owner.rule) };
  };
}

/** What the node itself sends. */
function isOwn({ ownAddresses }: Surroundings, { source }: FlowEnds): boolean {
  return ownAddresses.some((own) =>
    own.family === 4
      ? source.length === 4 && source.readUInt32BE() === own.address
      : source.length === 16 &&
        source.readBigUInt64BE(0) === own.high &&
        source.readBigUInt64BE(8) === own.low,
  );
}
