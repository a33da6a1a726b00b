import assert from "node:assert/strict";
import type { ApiClient } from "../../operator/api/client.js";
import type { SourceState } from "../../operator/model/source-state.js";
import type { World } from "../lifecycle/world.js";
import type { FaultProxy, Match } from "../support/cluster/fault-proxy.js";

/** Watches of policies. */
export const policyWatches: Required<Match> = { method: "GET", path: /\/xdppolicies\?.*watch=1/ };

export async function sourceOf(api: ApiClient): Promise<SourceState> {
  const { source } = await api.call("status");
  assert.ok(source);
  return source;
}

/** Codes of the problems that are errors. */
export async function errorsOf(api: ApiClient): Promise<readonly string[]> {
  const { problems } = await api.call("status");
  return problems.flatMap(({ severity, code }) => (severity === "error" ? [code] : []));
}

/** Milliseconds between requests that came through. */
export function gapsOf(
  { requests }: FaultProxy,
  { method, path }: Required<Match>,
): readonly number[] {
  const times = requests
    .filter((request) => request.method === method && path.test(request.path))
    .map(({ atMs }) => atMs);
  return times.slice(1).map((atMs, index) => atMs - (times[index] ?? 0));
}

export interface Sending {
  /** Ends it; says how many datagrams were sent, and how many reached the node. */
  end(): Promise<{ readonly sent: number; readonly passed: number }>;
}

/** Sends datagrams from an address on and on. */
export async function keepSending(
  { inner, passes }: Pick<World, "inner" | "passes">,
  source: string,
): Promise<Sending> {
  const heard = () => inner.call("heard", { stream: `probe-${source}` });
  const before = await heard();
  const ending = new AbortController();
  const running = (async () => {
    let sent = 0;
    while (!ending.signal.aborted) {
      await passes(source);
      sent++;
    }
    return sent;
  })();
  return {
    async end() {
      ending.abort();
      const sent = await running;
      return { sent, passed: (await heard()) - before };
    },
  };
}
