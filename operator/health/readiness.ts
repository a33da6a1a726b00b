import type { Engine, EngineStatus } from "../api/engine.js";

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly text: string;
}

/**
 * What has to hold for this node to be called ready: what is wanted is in the kernel, on every
 * interface.
 */
export function readinessChecks(engine: Pick<Engine, "status">): readonly Check[] {
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

/** As the API server's own health pages: `[+]sync ok`, `[-]apply: …`. */
export function readinessText(checks: readonly Check[]): string {
  const lines = checks.map(({ name, ok, text }) =>
    ok ? `[+]${name} ok: ${text}` : `[-]${name} failed: ${text}`,
  );
  const verdict = checks.every(({ ok }) => ok) ? "ready" : "not ready";
  return `${[...lines, verdict].join("\n")}\n`;
}
