import { hrtime } from "node:process";
import { setImmediate as yieldToLoop } from "node:timers/promises";
import type { ConnectionKey, Flow } from "../../datapath/generated/layout.js";
import type { PodDirection, PodFlowState } from "../api/engine.js";
import type { PodDatapath } from "./pod-datapath.js";
import type { SlotOwner } from "./rule-slots.js";

type Flows = PodDatapath["flows"];

const PORTED: readonly number[] = [6, 17, 132];
const ICMP: readonly number[] = [1, 58];
const LOOKED_AT_ONCE = 4096;
const SECOND_NS = 1_000_000_000n;

/** What of a frame a flow is found by. */
export interface FlowEnds {
  readonly key: ConnectionKey;
  /** Where the source port, or the identifier of an ICMP echo, stands in the frame; missing without either. */
  readonly portAt?: number;
  /** Addresses as they stand in the frame. */
  readonly source: Buffer;
}

/** Undefined: a frame that is not plain IP, whose flow, if it has one, is not looked for. */
export function readFlowEnds(frame: Buffer): FlowEnds | undefined {
  const type = frame.readUInt16BE(12);
  if (type === 0x0800 && frame.length >= 34) {
    return endsOf(frame, 4, frame.readUInt8(23), [26, 30], 14 + (frame.readUInt8(14) & 15) * 4);
  }
  if (type !== 0x86dd || frame.length < 54) return undefined;
  return endsOf(frame, 6, frame.readUInt8(20), [22, 38], 54);
}

function endsOf(
  frame: Buffer,
  family: 4 | 6,
  protocol: number,
  [sourceAt, destinationAt]: readonly [number, number],
  transportAt: number,
): FlowEnds {
  const bytes = family === 4 ? 4 : 16;
  const isPorted = PORTED.includes(protocol);
  const hasPort = (isPorted || ICMP.includes(protocol)) && frame.length >= transportAt + 8;
  const portAt = isPorted ? transportAt : transportAt + 4;
  const port = hasPort ? frame.readUInt16BE(portAt) : 0;
  return {
    key: {
      local: words(frame.subarray(sourceAt, sourceAt + bytes)),
      remote: words(frame.subarray(destinationAt, destinationAt + bytes)),
      localPort: port,
      remotePort: hasPort && isPorted ? frame.readUInt16BE(transportAt + 2) : port,
      protocol,
      family,
    },
    ...(hasPort && { portAt }),
    source: frame.subarray(sourceAt, sourceAt + bytes),
  };
}

function words(bytes: Buffer): readonly number[] {
  return [0, 4, 8, 12].map((at) => (at < bytes.length ? bytes.readUInt32LE(at) : 0));
}

/** Source port, or identifier, of the flow between these ends that was used last. */
export async function newestPort(flows: Flows, { key }: FlowEnds): Promise<number | undefined> {
  const isIcmp = ICMP.includes(key.protocol);
  let newest: { readonly port: number; readonly lastNs: bigint } | undefined;
  let seen = 0;
  for (const [found, { lastNs }] of flows.entries()) {
    if (++seen % LOOKED_AT_ONCE === 0) await yieldToLoop();
    if (newest !== undefined && newest.lastNs >= lastNs) continue;
    const remotePort = isIcmp ? found.remotePort : key.remotePort;
    if (isSameKey(found, { ...key, localPort: found.localPort, remotePort })) {
      newest = { port: found.localPort, lastNs };
    }
  }
  return newest?.port;
}

export interface FlowContext {
  readonly flows: Flows;
  /** In force. */
  readonly generation: number;
  readonly owner: (slot: number) => SlotOwner | undefined;
}

/** What is known of the flow that a packet with these ends is part of, as the end in this direction sees it. */
export function describeFlow(
  { flows, generation, owner }: FlowContext,
  { key }: FlowEnds,
  direction: PodDirection,
): PodFlowState | undefined {
  const nowNs = hrtime.bigint();
  for (const way of ["forth", "back"] as const) {
    const flow = flows.lookup(way === "forth" ? key : turned(key));
    if (flow === undefined || isOver(flow, nowNs)) continue;
    const judgement = (direction === "egress") === (way === "forth") ? flow.out : flow.in;
    const rule = judgement.slot === 0 ? undefined : owner(judgement.slot);
    return {
      way,
      sourcePort: key.localPort,
      ageSeconds: seconds(nowNs - flow.createdNs),
      idleSeconds: seconds(nowNs - flow.lastNs),
      lifetimeSeconds: flow.lifetimeS,
      packetsForth: Number(flow.packetsForth),
      packetsBack: Number(flow.packetsBack),
      isCurrent: judgement.generation === generation,
      ...(rule && { policy: rule.policy, rule: rule.rule }),
    };
  }
  return undefined;
}

function isOver({ lastNs, lifetimeS }: Flow, nowNs: bigint): boolean {
  return nowNs - lastNs > BigInt(lifetimeS) * SECOND_NS;
}

function turned(key: ConnectionKey): ConnectionKey {
  const { local, remote, localPort, remotePort } = key;
  return { ...key, local: remote, remote: local, localPort: remotePort, remotePort: localPort };
}

function isSameKey(a: ConnectionKey, b: ConnectionKey): boolean {
  return (
    a.localPort === b.localPort &&
    a.remotePort === b.remotePort &&
    a.protocol === b.protocol &&
    a.family === b.family &&
    a.local.every((word, at) => word === b.local[at]) &&
    a.remote.every((word, at) => word === b.remote[at])
  );
}

function seconds(ns: bigint): number {
  return Math.max(0, Math.round(Number(ns / 1_000_000n) / 100) / 10);
}
