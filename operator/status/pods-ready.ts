import type { PodNetworkState, PodProblem } from "../api/engine.js";
import type { Finding } from "./condition.js";
import type { Occurrence } from "./events.js";
import { count } from "./ready.js";

/** What is over sooner belongs to the start of a pod. */
const LASTING_MS = 15_000;

/** Pods that have had no network for long. */
export function lastingPodProblems(
  { podProblems }: PodNetworkState,
  nowMs: number,
): readonly PodProblem[] {
  return podProblems.filter(({ since }) => nowMs - Date.parse(since) >= LASTING_MS);
}

/** Whether all pods of a node have their network: the condition `PodsReady` of its NodeDatapath. */
export function podsFinding(state: PodNetworkState, nowMs: number): Finding {
  const type = "PodsReady";
  const lasting = lastingPodProblems(state, nowMs);
  const [first] = lasting;
  if (first === undefined) {
    const message = "no pod has been without network for long";
    return { type, status: "True", reason: "AllReady", message };
  }
  const closed = lasting.filter((problem) => problem.type === "Closed").length;
  return {
    type,
    status: "False",
    reason: closed > 0 ? "PodsClosed" : "PodsNotAttached",
    message: `${count(lasting.length, "pod")} without network; ${nameOf(first)}: ${first.message}`,
  };
}

function nameOf({ namespace = "", name = "a pod that is not named" }: PodProblem): string {
  return namespace === "" ? name : `${namespace}/${name}`;
}

const reasons = { NotAttached: "NetworkNotAttached", Closed: "NetworkClosed" } as const;

/** An Event for each pod whose lack of a network has just become a lasting one; which have been told is kept here. */
export class PodEvents {
  #told: ReadonlySet<string> = new Set();

  occurrences(state: PodNetworkState | undefined, nowMs: number): readonly Occurrence[] {
    const problems = state === undefined ? [] : lastingPodProblems(state, nowMs);
    const now = new Map(problems.map((problem) => [keyOf(problem), problem]));
    const fresh = [...now].filter(([key]) => !this.#told.has(key)).map(([, problem]) => problem);
    this.#told = new Set(now.keys());
    return fresh.flatMap(({ type, namespace, name, uid = "", message }): readonly Occurrence[] => {
      // An Event names its object.
      if (namespace === undefined || name === undefined) return [];
      const object = { apiVersion: "v1", kind: "Pod", namespace, name, uid };
      return [{ object, type: "Warning", reason: reasons[type], message }];
    });
  }
}

function keyOf({ type, namespace, name, uid, since }: PodProblem): string {
  return [type, namespace, name, uid, since].join("\0");
}
