import type { PodTraceStep, ReasonName, VerdictName } from "../../api/engine.js";
import type { NearRule } from "../../compile/pod-explainer.js";
import type { Place } from "../../model/pod-facts.js";
import type { FoundEnd, PodPacket } from "./pod-packet.js";

export interface WalkEnd {
  readonly kind: Place["kind"];
  /** `NAMESPACE/NAME` of a pod, the name of a node; missing outside. */
  readonly name?: string;
  readonly node?: string;
  readonly address: string;
}

/** What the policies of one pod say; `near` when they were read from files. */
export type WalkStep = Omit<PodTraceStep, "node" | "delivery"> & {
  readonly node?: string;
  readonly near?: readonly NearRule[];
};

/** An end that was not asked. */
export interface Unasked {
  readonly direction: PodTraceStep["direction"];
  /** True: its policies might refuse the packet. False: it has none. */
  readonly isOpenQuestion: boolean;
  readonly why: string;
}

/** A packet's way from its source to its destination. */
export interface Walk {
  readonly source: WalkEnd;
  readonly destination: WalkEnd;
  readonly protocol: string;
  readonly destinationPort?: number;
  /** Egress of the source, ingress of the destination. */
  readonly steps: readonly WalkStep[];
  readonly unasked: readonly Unasked[];
  /** Where it goes when its source may send it; missing when that is not told. */
  readonly delivery?: string;
  readonly verdict: VerdictName;
  /** Both ends were asked, or what one said decides. */
  readonly isComplete: boolean;
  /** Of the step that decided: the first that refuses, else the first that a rule allowed. */
  readonly reason?: ReasonName;
  readonly policy?: string;
  readonly rule?: string;
}

/** @param parts what is known besides the verdict */
export function concludeWalk(
  packet: PodPacket,
  source: FoundEnd,
  destination: FoundEnd,
  parts: Pick<Walk, "steps" | "unasked"> & { readonly delivery?: string | undefined },
): Walk {
  const { steps, unasked, delivery } = parts;
  const refusing = steps.find(({ verdict }) => verdict !== "pass");
  const allowing = steps.find(({ policy }) => policy !== undefined) ?? steps[0];
  const deciding = refusing ?? allowing;
  return {
    source: walkEnd(source.place, packet.source),
    destination: walkEnd(destination.place, packet.destination),
    protocol: packet.protocol,
    ...(packet.destinationPort !== undefined && { destinationPort: packet.destinationPort }),
    steps,
    unasked,
    ...(delivery !== undefined && { delivery }),
    verdict: refusing?.verdict ?? "pass",
    isComplete: refusing !== undefined || !unasked.some(({ isOpenQuestion }) => isOpenQuestion),
    ...(deciding !== undefined && { reason: deciding.reason }),
    ...(deciding?.policy !== undefined && { policy: deciding.policy }),
    ...(deciding?.rule !== undefined && { rule: deciding.rule }),
  };
}

function walkEnd(place: Place, address: string): WalkEnd {
  switch (place.kind) {
    case "pod": {
      const { namespace, name, node } = place.pod;
      return {
        kind: "pod",
        name: `${namespace}/${name}`,
        ...(node !== undefined && { node }),
        address,
      };
    }
    case "node":
      return { kind: "node", name: place.node, node: place.node, address };
    case "outside":
      return { kind: "outside", address };
  }
}

/** Why no policy is asked at an end; undefined: it is a pod that has policies. */
export function unjudged(place: Place, direction: PodTraceStep["direction"]): Unasked | undefined {
  if (place.kind === "pod" && !place.pod.hostNetwork) return undefined;
  const why =
    place.kind === "pod"
      ? "is in its node's own network: policies of pods do not judge it"
      : place.kind === "node"
        ? `is node ${place.node}: policies of pods do not judge it`
        : "is outside the cluster";
  return { direction, isOpenQuestion: false, why };
}

/** Where a packet goes behind the egress policies. */
export function describeDelivery(
  source: Place,
  destination: Place,
  step: Pick<PodTraceStep, "delivery"> | undefined,
): string | undefined {
  const from = nodeOf(source);
  const to = nodeOf(destination);
  if (destination.kind === "outside") {
    return from === undefined ? "outside the cluster" : `the stack of ${from}, to the outside`;
  }
  if (to === undefined) return undefined;
  if (from !== undefined && from !== to) {
    const how =
      step === undefined ? "" : step.delivery === "route" ? ", past its stack" : ", by its stack";
    return `from ${from} to ${to}${how}`;
  }
  if (from === undefined) return `from outside to ${to}`;
  if (destination.kind === "node") return `the stack of ${to}, its own node`;
  if (step === undefined) return `on ${to}`;
  return step.delivery === "pod" ? `on ${to}, past its stack` : `through the stack of ${to}`;
}

function nodeOf(place: Place): string | undefined {
  return place.kind === "outside" ? undefined : place.kind === "node" ? place.node : place.pod.node;
}
