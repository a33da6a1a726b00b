import type { ApiClient } from "../../api/client.js";
import type { PodDirection, PodTraceStep } from "../../api/engine.js";
import { SluiceError } from "../../errors.js";
import type { Place } from "../../model/pod-facts.js";
import type { Agents } from "../agents.js";
import { usageError } from "../errors.js";
import { buildFrame } from "../packet-frame.js";
import type { EndWord, PodWords } from "./end-words.js";
import { describePodPacket, type FoundEnd, type PodPacketOptions } from "./pod-packet.js";
import { concludeWalk, describeDelivery, unjudged, type Unasked, type Walk } from "./walk.js";

export interface TracePodsOptions extends PodPacketOptions {
  /** By what the flow table says now, not as a new connection. */
  readonly flow?: boolean | undefined;
}

export interface TracedWalk {
  readonly walk: Walk;
  readonly frame: Buffer;
}

/** Where an end is found, and which agent knows its programs. */
export interface TraceWorld {
  locate(end: EndWord): Promise<Place>;
  /** The agent of a pod's node, or why it is not asked. */
  agentOf(pod: Extract<Place, { kind: "pod" }>["pod"]): Promise<ApiClient | string>;
}

/**
 * Walks a packet: egress by the programs of its source's node, ingress by those of its destination's.
 *
 * @throws SluiceError SLUICE_USAGE, and as the agents
 */
export async function tracePods(
  world: TraceWorld,
  words: PodWords,
  options: TracePodsOptions,
): Promise<TracedWalk> {
  const source = await found(world, words.source);
  const destination = await found(world, words.destination);
  const isFlow = options.flow === true;
  const packet = describePodPacket(words, source, destination, { ...options, isLater: isFlow });
  const frame = buildFrame(packet.description);
  const isPortOpen = isFlow && words.source.port === undefined;
  const steps: PodTraceStep[] = [];
  const unasked: Unasked[] = [];
  const ends = [
    ["egress", source],
    ["ingress", destination],
  ] as const;
  for (const [direction, { place }] of ends) {
    const answer = await askEnd(
      world,
      direction,
      place,
      frame,
      isFlow ? { isPortOpen } : undefined,
    );
    if ("verdict" in answer) steps.push(answer);
    else unasked.push(answer);
    const port = steps[0]?.flow?.sourcePort;
    if (isPortOpen && port !== undefined) writeSourcePort(frame, port);
  }
  if (steps.length === 0) throw nothingToTrace(words, unasked);
  const egress = steps.find(({ direction }) => direction === "egress");
  const leaves = egress === undefined || egress.verdict === "pass";
  const delivery = leaves ? describeDelivery(source.place, destination.place, egress) : undefined;
  return { walk: concludeWalk(packet, source, destination, { steps, unasked, delivery }), frame };
}

async function found(world: TraceWorld, end: EndWord): Promise<FoundEnd> {
  return { end, place: await world.locate(end) };
}

async function askEnd(
  world: TraceWorld,
  direction: PodDirection,
  place: Place,
  frame: Buffer,
  flow: { readonly isPortOpen: boolean } | undefined,
): Promise<PodTraceStep | Unasked> {
  const none = unjudged(place, direction);
  if (none !== undefined || place.kind !== "pod") return none!;
  const agent = await world.agentOf(place.pod);
  if (typeof agent === "string") return { direction, isOpenQuestion: true, why: agent };
  return agent.call("tracePod", {
    pod: `${place.pod.namespace}/${place.pod.name}`,
    direction,
    frame: frame.toString("base64"),
    ...(flow && { flow: flow.isPortOpen ? ("newest" as const) : ("exact" as const) }),
  });
}

/** The same flow is asked about at both ends. Checksums are not looked at. */
function writeSourcePort(frame: Buffer, port: number): void {
  const isIpv6 = frame.readUInt16BE(12) === 0x86dd;
  const protocol = frame.readUInt8(isIpv6 ? 20 : 23);
  const transportAt = isIpv6 ? 54 : 14 + (frame.readUInt8(14) & 15) * 4;
  frame.writeUInt16BE(port, protocol === 1 || protocol === 58 ? transportAt + 4 : transportAt);
}

function nothingToTrace(
  { source, destination }: PodWords,
  unasked: readonly Unasked[],
): SluiceError {
  const [first, second] = unasked;
  const remedy = "At least one end must be a pod of the pod network whose agent can be asked";
  return usageError(
    `nothing judges this packet: ${source.word} ${first?.why}, ${destination.word} ${second?.why}`,
    remedy,
  );
}

/** As the agent of one node sees it. */
export function nodeWorld(client: ApiClient): TraceWorld {
  return {
    async locate(end) {
      const query = end.kind === "pod" ? { pod: end.key } : { address: end.address };
      return (await client.call("locate", query)).place;
    },
    async agentOf({ namespace, name, node }) {
      const located = await client.call("locate", { pod: `${namespace}/${name}` });
      if (located.isAttached) return client;
      if (node === undefined) return "is not on a node yet";
      return node === located.node
        ? `is not attached to ${node}: its policies are not in the kernel there`
        : `is on node ${node}: ask the agent there, or kubectl sluice trace`;
    },
  };
}

/** As the API server has the pods, and the agents of their nodes judge them. */
export function clusterWorld(agents: Agents, readPod: (key: string) => Promise<Place>): TraceWorld {
  const clientOn = (node: string) => agents.all.find((agent) => agent.node === node)?.client;
  return {
    async locate(end) {
      if (end.kind === "pod") return readPod(end.key);
      const { answers, failures } = await agents.ask(
        (client) => client.call("locate", { address: end.address }),
        agents.all.slice(0, 1),
      );
      if (answers[0] === undefined) throw failures[0]!.error;
      return answers[0].value.place;
    },
    async agentOf({ node }) {
      await Promise.resolve();
      if (node === undefined) return "is not on a node yet";
      const client = clientOn(node);
      if (client === undefined) return `is on node ${node}, which has no agent, or was left out`;
      return client instanceof SluiceError ? `is on node ${node}: ${client.problem}` : client;
    },
  };
}
