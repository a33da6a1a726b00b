import type { PodReports } from "../api/engine.js";
import { SluiceError } from "../errors.js";

export function notStarted(): SluiceError {
  return new SluiceError("SLUICE_NOT_STARTED", "the datapath is not loaded yet", {
    remedy: "Wait until the agent is ready",
  });
}

/** @param done what was changed, and does not act yet */
export function notInForce(done: string, why: string): SluiceError {
  return new SluiceError("SLUICE_NOT_IN_FORCE", `${done}, but not in force: ${why}`, {
    remedy: "It comes into force with the next change that succeeds; see sluicectl status",
  });
}

/** @throws SluiceError SLUICE_NO_POD_NETWORK */
export function needPods(pods: PodReports | undefined): PodReports {
  if (pods !== undefined) return pods;
  throw new SluiceError("SLUICE_NO_POD_NETWORK", "this agent has no pod network", {
    remedy: "Start it with --pod-network to let it connect and judge pods",
  });
}
