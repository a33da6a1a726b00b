import { cniError } from "./errors.js";

/** What one direction of a pod may take. */
export interface Rate {
  readonly bitsPerSecond: number;
  /** What may pass at once after a pause; undefined: nobody said, or “without bound”. */
  readonly burstBits: number | undefined;
}

/** Capability `bandwidth`, as the pod sees it. */
export interface Bandwidth {
  /** Of what it receives; undefined: without limit. */
  readonly ingress: Rate | undefined;
  /** Of what it sends. */
  readonly egress: Rate | undefined;
}

/** A petabit per second: what a kubelet takes for a rate. */
const mostBits = 1e15;
/** What runtimes give when the pod's annotations say no burst: the largest number that they have. */
const unboundedBits = 2 ** 31 - 1;

/**
 * Reads `runtimeConfig.bandwidth`; a rate that is 0 or not there is no limit.
 *
 * @throws SluiceError SLUICE_CNI_CONFIG
 */
export function readBandwidth(value: unknown): Bandwidth | undefined {
  if (value === undefined || value === null) return undefined;
  const field = "runtimeConfig.bandwidth";
  if (typeof value !== "object" || Array.isArray(value)) throw bad(field, value, "an object");
  const read = value as Readonly<Record<string, unknown>>;
  const ingress = readRate(read, "ingress");
  const egress = readRate(read, "egress");
  return ingress === undefined && egress === undefined ? undefined : { ingress, egress };
}

function readRate(
  value: Readonly<Record<string, unknown>>,
  direction: "ingress" | "egress",
): Rate | undefined {
  const bitsPerSecond = readBits(value, `${direction}Rate`);
  const burstBits = readBits(value, `${direction}Burst`);
  if (bitsPerSecond !== 0) {
    const isBound = burstBits > 0 && burstBits < unboundedBits;
    return { bitsPerSecond, burstBits: isBound ? burstBits : undefined };
  }
  if (burstBits === 0) return undefined;
  throw bad(`runtimeConfig.bandwidth.${direction}Rate`, 0, "given where there is a burst");
}

function readBits(value: Readonly<Record<string, unknown>>, name: string): number {
  const bits = value[name] ?? 0;
  if (Number.isInteger(bits) && (bits as number) >= 0 && (bits as number) <= mostBits) {
    return bits as number;
  }
  throw bad(`runtimeConfig.bandwidth.${name}`, bits, `a whole number of bits up to ${mostBits}`);
}

function bad(field: string, value: unknown, rule: string) {
  const found = JSON.stringify(value).slice(0, 200);
  return cniError("SLUICE_CNI_CONFIG", `the field ${field} is ${found}: it must be ${rule}`);
}

/** One word, such as `20000000:8000/-`: ingress, egress. */
export function formatBandwidth({ ingress, egress }: Bandwidth): string {
  const text = (rate: Rate | undefined) =>
    rate === undefined ? "-" : `${rate.bitsPerSecond}:${rate.burstBits ?? 0}`;
  return `${text(ingress)}/${text(egress)}`;
}

/** @returns undefined when {@link formatBandwidth} did not write it */
export function parseBandwidth(word: string): Bandwidth | undefined {
  const match = /^(?:-|(\d{1,16}):(\d{1,16}))\/(?:-|(\d{1,16}):(\d{1,16}))$/.exec(word);
  if (match === null) return undefined;
  const rate = (bits: string | undefined, burst: string | undefined) =>
    bits === undefined
      ? undefined
      : { bitsPerSecond: Number(bits), burstBits: Number(burst) || undefined };
  return { ingress: rate(match[1], match[2]), egress: rate(match[3], match[4]) };
}
