import type { EngineStatus, SetState } from "../../api/engine.js";
import { describePolicy } from "../../status/describe-policy.js";
import { blockedName } from "./block-objects.js";

/** What is to be in force on the nodes: these generations, or newer ones. */
export interface Wanted {
  readonly setGeneration: number;
  /** Of the policy that has to drop the set; undefined: what was taken out of the set has to be gone, no more. */
  readonly policyGeneration?: number;
}

/** How far a node is. */
export type NodeProgress =
  | { readonly state: "in force" }
  /** The policy does not select the node, which so does not count. */
  | { readonly state: "not selected" }
  | { readonly state: "missing"; readonly why: string };

/** Judges the answers of a node's agent. */
export function nodeProgress(
  wanted: Wanted,
  status: EngineStatus,
  sets: readonly SetState[],
): NodeProgress {
  const policy = status.policies.find(({ name }) => name === blockedName);
  if (wanted.policyGeneration !== undefined) {
    if (policy === undefined || policy.generation < wanted.policyGeneration) {
      return missing(unread("XdpPolicy", status));
    }
    const entry = describePolicy(policy, status);
    if (entry === undefined) return { state: "not selected" };
    if (entry.state === "Auditing") return missing("the XdpPolicy only audits there");
    if (entry.state !== "Enforcing" && entry.state !== "Unconfirmed") {
      return missing(entry.message ?? "the XdpPolicy is not in force yet");
    }
  }
  const set = sets.find(({ name }) => name === blockedName);
  const object = set?.objects.find(({ name }) => name === blockedName);
  if (set === undefined || object === undefined || object.generation < wanted.setGeneration) {
    return missing(unread("XdpCidrSet", status));
  }
  if (set.usedBy.length === 0 && wanted.policyGeneration === undefined) {
    return { state: policy?.selected === true ? "in force" : "not selected" };
  }
  const { generation, generationInForce = 0 } = object;
  // An object that was deleted and made anew counts from 1 again: what is in force may have a higher number.
  if (generationInForce >= wanted.setGeneration && generationInForce <= generation) {
    return { state: "in force" };
  }
  const why = problemOf("XdpCidrSet", status) ?? status.applyError;
  return missing(why ?? "the XdpCidrSet is not in force yet");
}

export function missing(why: string): NodeProgress {
  return { state: "missing", why };
}

function unread(kind: string, status: EngineStatus): string {
  const isCut = status.source?.isConnected === false;
  const cut = isCut ? ": it has lost the API server" : "";
  return problemOf(kind, status) ?? `the agent has not read the ${kind} yet${cut}`;
}

function problemOf(kind: string, { problems }: EngineStatus): string | undefined {
  return problems.find(
    (problem) =>
      problem.severity === "error" && problem.kind === kind && problem.name === blockedName,
  )?.message;
}
