import { PodExplainer, type ExplainedPacket } from "../../compile/pod-explainer.js";
import { SluiceError } from "../../errors.js";
import { findOwner } from "../../model/find-owner.js";
import { readLooseAddress } from "../../model/loose-cidr.js";
import { nearPodsQuestion } from "../../model/near-pods.js";
import { type Place, podFacts } from "../../model/pod-facts.js";
import { usageError } from "../errors.js";
import { buildFrame, type PacketDescription, protocolNumber } from "../packet-frame.js";
import type { EndWord, PodWords } from "../pod-trace/end-words.js";
import {
  describePodPacket,
  type FoundEnd,
  type PodPacketOptions,
} from "../pod-trace/pod-packet.js";
import type { TracedWalk } from "../pod-trace/trace-pods.js";
import {
  concludeWalk,
  describeDelivery,
  unjudged,
  type Unasked,
  type WalkStep,
} from "../pod-trace/walk.js";
import type { ManifestCluster } from "./read-cluster.js";

type Input = ManifestCluster["input"];

/** Answers for one cluster, as many as are asked. */
export class Explainer {
  readonly #input: Input;
  readonly #rules: PodExplainer;

  constructor(input: Input) {
    this.#input = input;
    this.#rules = new PodExplainer(input);
  }

  /** @throws SluiceError SLUICE_USAGE, SLUICE_UNKNOWN_POD */
  explain(words: PodWords, options: PodPacketOptions): TracedWalk {
    const source = this.#find(words.source);
    const destination = this.#find(words.destination);
    const packet = describePodPacket(words, source, destination, options);
    const walked = explainedPacket(packet.description);
    const steps: WalkStep[] = [];
    const unasked: Unasked[] = [];
    for (const [direction, { place }] of [
      ["egress", source],
      ["ingress", destination],
    ] as const) {
      const none = unjudged(place, direction);
      if (none !== undefined) unasked.push(none);
      else if (place.kind === "pod") steps.push(this.#step(direction, place.pod, walked));
    }
    if (steps.length === 0) {
      throw usageError(
        `nothing judges this packet: ${words.source.word} ${unasked[0]?.why}, ${words.destination.word} ${unasked[1]?.why}`,
        "At least one end must be a pod that is not in its node's own network",
      );
    }
    const egress = steps.find(({ direction }) => direction === "egress");
    const delivery =
      egress === undefined || egress.verdict === "pass"
        ? describeDelivery(source.place, destination.place, undefined)
        : undefined;
    return {
      walk: concludeWalk(packet, source, destination, { steps, unasked, delivery }),
      frame: buildFrame(packet.description),
    };
  }

  #step(
    direction: WalkStep["direction"],
    pod: { readonly namespace: string; readonly name: string; readonly node?: string },
    packet: ExplainedPacket,
  ): WalkStep {
    const key = `${pod.namespace}/${pod.name}`;
    return {
      direction,
      pod: key,
      ...(pod.node !== undefined && { node: pod.node }),
      stages: [],
      isClosed: false,
      ...this.#rules.explain(key, direction, packet),
    };
  }

  #find(end: EndWord): FoundEnd {
    const { pods, nodes } = this.#input;
    if (end.kind === "pod") {
      const record = pods.get(end.key);
      if (record === undefined) throw unknownPod(end.key, pods.keys());
      if (record.isCompleted) {
        throw usageError(`the pod ${end.key} has ended, and holds no address any more`);
      }
      return { end, place: { kind: "pod", pod: podFacts(record) } };
    }
    const owner = findOwner(readLooseAddress(end.address)!, pods.values(), nodes);
    const place: Place = owner.kind === "pod" ? { kind: "pod", pod: podFacts(owner.pod) } : owner;
    return { end, place };
  }
}

function explainedPacket({ source, destination, transport }: PacketDescription): ExplainedPacket {
  const value = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
  return {
    family: source.length === 4 ? 4 : 6,
    source: value(source),
    destination: value(destination),
    protocol: protocolNumber(transport),
    ...("destinationPort" in transport && { destinationPort: transport.destinationPort }),
    ...("type" in transport && { detail: (transport.type << 8) | transport.code }),
    ...("flags" in transport && { detail: transport.flags }),
  };
}

function unknownPod(key: string, keys: Iterable<string>): SluiceError {
  const all = [...keys];
  const question = nearPodsQuestion(key, all);
  const none = all.length === 0 ? "The manifests have no Pod" : undefined;
  return new SluiceError("SLUICE_UNKNOWN_POD", `there is no pod ${key} in the manifests`, {
    remedy: question ?? none,
  });
}
