import { PodLimits, PodRate as RateRow } from "../../datapath/generated/layout.js";
import type { MappedArray } from "../../datapath/index.js";
import type { PodBandwidth, PodRate } from "./pod-link.js";

/** Times of the limiter are in 1/16 ns, costs per 2^10 bytes (limiter.h). */
const TICKS_PER_SECOND = 16_000_000_000n;
const COST_BITS = 8n * 1024n;
const MAX_BURST = 1n << 62n;
/**
 * Of a rate without a burst: what 500 ms take. TCP that has lost all it had under way waits 200 ms and more; a bucket that
 * is full by then wastes the rest of the wait.
 */
const DEFAULT_BURST = TICKS_PER_SECOND / 2n;

/** Which directions have a rate: `enum pod_limits`. */
export function limitBits({ ingress, egress }: Partial<PodBandwidth> = {}): number {
  return (
    (egress === undefined ? 0 : PodLimits.POD_LIMIT_OUT) |
    (ingress === undefined ? 0 : PodLimits.POD_LIMIT_IN)
  );
}

/** Writes the rates of a pod's two slots; what a bucket that has the same rate holds stays. */
export function writeRates(
  rates: MappedArray,
  { slotOut, slotIn }: { readonly slotOut: number; readonly slotIn: number },
  { ingress, egress }: Partial<PodBandwidth> = {},
): void {
  for (const [slot, rate] of [
    [slotOut, egress],
    [slotIn, ingress],
  ] as const) {
    const at = slot * rates.stride;
    const { cost, burst } = RateRow.decode(rates.view, at);
    const wanted = rateRow(rate);
    if (cost === wanted.cost && burst === wanted.burst) continue;
    RateRow.encode(wanted, rates.view, at);
  }
}

function rateRow(rate: PodRate | undefined): RateRow {
  if (rate === undefined) return { fullAt: 0n, cost: 0n, burst: 0n };
  const { bitsPerSecond, burstBits } = rate;
  const bits = BigInt(bitsPerSecond);
  const cost = (TICKS_PER_SECOND * COST_BITS) / bits;
  const burst =
    burstBits === undefined ? DEFAULT_BURST : (TICKS_PER_SECOND * BigInt(burstBits)) / bits;
  return { fullAt: 0n, cost: cost > 0n ? cost : 1n, burst: burst < MAX_BURST ? burst : MAX_BURST };
}
