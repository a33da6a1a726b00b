import type { KubeError } from "./errors.js";

const shortestMs = 500;
const longestMs = 30_000;
/** What worked for so long has recovered. */
const steadyMs = 60_000;

/** How often in a row something failed. */
export interface BackOffState {
  readonly count: number;
}

/**
 * How long to wait before the next try: twice as long after each failure, from 0.5 to 30 s, and somewhere between half
 * and one and a half of it, so that nodes that lost the same server do not come back in step. What the server asks for
 * counts when it is longer.
 *
 * @param lastedMs how long the attempt worked before it failed
 */
export function backOffMs(
  { count }: BackOffState,
  lastedMs: number,
  error: Pick<KubeError, "retryAfterMs"> | undefined,
): { readonly delayMs: number; readonly state: BackOffState } {
  const before = lastedMs >= steadyMs ? 0 : count;
  const base = Math.min(longestMs, shortestMs * 2 ** before);
  const delayMs = Math.max(base * (0.5 + Math.random()), jittered(error?.retryAfterMs ?? 0));
  return { delayMs, state: { count: before + 1 } };
}

function jittered(ms: number): number {
  return ms * (1 + Math.random() / 4);
}

/** How long a watch may last: 300–600 s, differently each time, so that they do not end in step. */
export function watchTimeoutSeconds(): number {
  return 300 + Math.floor(Math.random() * 300);
}
