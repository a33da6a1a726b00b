import type { Engine, EngineStatus } from "../api/engine.js";
import type { SourceState } from "../model/source-state.js";

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly text: string;
}

/**
 * A source that is away for less does not make the node unready: every agent of a cluster loses a restarted API server at
 * once, and the kernel judges on.
 */
const sourceGraceMs = 60_000;

/**
 * What has to hold for this node to be called ready: what is wanted is in the kernel, on every
 * interface.
 */
export function readinessChecks(
  engine: Pick<Engine, "status">,
  nowMs = Date.now(),
): readonly Check[] {
  let status: EngineStatus;
  try {
    status = engine.status();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return [{ name: "datapath", ok: false, text }];
  }
  const detached = status.interfaces.filter(({ attached }) => !attached);
  return [
    { name: "datapath", ok: true, text: "loaded" },
    {
      name: "sync",
      ok: status.inSync,
      text: status.inSync ? `generation ${status.generation}` : "the source has not delivered yet",
    },
    ...(status.source === undefined ? [] : [sourceCheck(status.source, nowMs)]),
    {
      name: "apply",
      ok: status.applyError === undefined,
      text: status.applyError ?? "the kernel holds what is wanted",
    },
    {
      name: "interfaces",
      ok: detached.length === 0,
      text:
        detached.length === 0
          ? `${status.interfaces.length} attached`
          : detached.map(({ name, message }) => `${name}: ${message ?? "not attached"}`).join("; "),
    },
  ];
}

function sourceCheck(source: SourceState, nowMs: number): Check {
  const name = "source";
  const { from, since, isConnected, errors } = source;
  if (isConnected) return { name, ok: true, text: `${from} since ${since}` };
  const ok = source.isSynced && nowMs - Date.parse(since) < sourceGraceMs;
  const why = errors.length === 0 ? "" : `: ${errors.join("; ")}`;
  return { name, ok, text: `${from} is away since ${since}${why}` };
}

/** As the API server's own health pages: `[+]sync ok`, `[-]apply: …`. */
export function readinessText(checks: readonly Check[]): string {
  const lines = checks.map(({ name, ok, text }) =>
    ok ? `[+]${name} ok: ${text}` : `[-]${name} failed: ${text}`,
  );
  const verdict = checks.every(({ ok }) => ok) ? "ready" : "not ready";
  return `${[...lines, verdict].join("\n")}\n`;
}
