/** What the node remembers between packets: fragments (docs/xdp-policy.md §4) and buckets (§5). */

import type { RateLimit } from "../../operator/model/records.js";
import type { Packet } from "./packet.js";
import type { Evaluation } from "./world.js";

const FRAGMENT_MEMORY_MS = 30_000;

/** The walk asks these questions; {@link createState} answers them by simulation. */
export interface EvaluationState {
  /** Milliseconds since the epoch; the clock of everything that ends. */
  readonly nowMs: number;
  /** Takes the packet's tokens from the bucket, or answers true and takes none. */
  isAboveRate(bucket: BucketKey, limit: RateLimit, frameBytes: number): boolean;
  /** Whether the packet belongs to a connection that the node opened (§8). */
  isEstablished(packet: Packet, frame: Uint8Array, interfaceName: string): boolean;
  /** The answer to the first fragment of this later fragment's packet, if it was seen recently. */
  firstFragment(packet: Packet): Evaluation | undefined;
  rememberFirstFragment(packet: Packet, evaluation: Evaluation): void;
}

export interface BucketKey {
  readonly policy: string;
  readonly rule: string;
  /** Source address or prefix; empty for the node's one bucket. */
  readonly source: string;
}

export interface SimulatedState extends EvaluationState {
  nowMs: number;
}

/**
 * Buckets full, no fragment seen. The tables have no capacity here: a comparison with a real one
 * must stay below its limits. The clock stands until the caller moves `nowMs`.
 */
export function createState(
  nowMs: number,
  isEstablished: EvaluationState["isEstablished"] = () => false,
): SimulatedState {
  const buckets = new Map<string, { tokens: number; filledAtMs: number }>();
  const firsts = new Map<string, { evaluation: Evaluation; seenAtMs: number }>();
  return {
    nowMs,
    isEstablished,
    isAboveRate({ policy, rule, source }, limit, frameBytes) {
      const key = `${policy}/${rule}/${source}`;
      const bucket = buckets.get(key) ?? { tokens: limit.burst, filledAtMs: this.nowMs };
      buckets.set(key, bucket);
      const refill = ((this.nowMs - bucket.filledAtMs) / 1000) * limit.rate;
      bucket.tokens = Math.min(limit.burst, bucket.tokens + refill);
      bucket.filledAtMs = this.nowMs;
      const cost = limit.unit === "packets" ? 1 : frameBytes;
      if (bucket.tokens < cost) {
        return true;
      }
      bucket.tokens -= cost;
      return false;
    },
    firstFragment(packet) {
      const first = firsts.get(fragmentKey(packet));
      return first !== undefined && this.nowMs - first.seenAtMs <= FRAGMENT_MEMORY_MS
        ? first.evaluation
        : undefined;
    },
    rememberFirstFragment(packet, evaluation) {
      firsts.set(fragmentKey(packet), { evaluation, seenAtMs: this.nowMs });
    },
  };
}

function fragmentKey(packet: Packet): string {
  return [
    packet.source.family,
    packet.source.value,
    packet.destination.value,
    packet.fragment?.protocol,
    packet.fragment?.id,
  ].join("/");
}
