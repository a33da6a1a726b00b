import assert from "node:assert/strict";
import type { ApiClient } from "../../operator/api/client.js";
import type { SourceState } from "../../operator/model/source-state.js";
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
  /** Ends it; says how many datagrams were sent, and how many passed. */
  end(): Promise<{ readonly sent: number; readonly passed: number }>;
}

/** Probes on and on, one after the other. */
export function keepSending(passes: () => Promise<boolean>): Sending {
  let isEnding = false;
  const running = (async () => {
    let [sent, passed] = [0, 0];
    while (!isEnding) {
      if (await passes()) passed++;
      sent++;
    }
    return { sent, passed };
  })();
  return {
    end: () => {
      isEnding = true;
      return running;
    },
  };
}
