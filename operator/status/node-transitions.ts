import type { NodeStatus } from "./describe-node.js";
import type { EventObject, Occurrence } from "./events.js";

/** Events about a Node name it by its name also in `uid`, as those of the kubelet do. */
export function nodeObject(name: string): EventObject {
  return { apiVersion: "v1", kind: "Node", name, uid: name };
}

/** What is worth an Event of the node between two of its reports. */
export function nodeOccurrences(
  node: string,
  before: NodeStatus | undefined,
  now: NodeStatus,
): readonly Occurrence[] {
  const object = nodeObject(node);
  return [
    ...interfaceTurns(before, now),
    ...policyTurns(before, now),
    ...failureTurns(before, now),
  ].map(([type, reason, message]) => ({ object, type, reason, message }));
}

type Turn = readonly [type: Occurrence["type"], reason: string, message: string];

function interfaceTurns(before: NodeStatus | undefined, now: NodeStatus): readonly Turn[] {
  return (now.interfaces ?? []).flatMap(({ name, state, mode, message }): readonly Turn[] => {
    const old = before?.interfaces?.find((entry) => entry.name === name);
    if (state === "Failed") {
      if (old?.state === "Failed") return [];
      return [["Warning", "AttachFailed", `${name}: ${message ?? "no program is attached"}`]];
    }
    if (old?.state === "Failed")
      return [["Normal", "Attached", `${name}: attached in mode ${mode}`]];
    return [];
  });
}

const reasons = {
  Refused: "PolicyRefused",
  RolledBack: "PolicyRolledBack",
  Failing: "PolicyFailing",
} as const;

function policyTurns(before: NodeStatus | undefined, now: NodeStatus): readonly Turn[] {
  return (now.policies ?? []).flatMap(({ name, state, message, observedGeneration, code }) => {
    const old = before?.policies?.find((entry) => entry.name === name);
    const isSame = old?.state === state && old.observedGeneration === observedGeneration;
    if (isSame || !isFailing(state)) return [];
    // One interface or one failed write is one event, not one for each policy.
    if (state === "Failing" && sharedCodes.has(code ?? "")) return [];
    const text = `XdpPolicy ${name} generation ${observedGeneration}: ${message ?? code ?? state}`;
    return [["Warning", reasons[state], text] as const];
  });
}

const sharedCodes: ReadonlySet<string> = new Set(["SLUICE_APPLY_FAILED", "SLUICE_NOT_ATTACHED"]);

function isFailing(state: string): state is keyof typeof reasons {
  return Object.hasOwn(reasons, state);
}

/** What fails besides policies: sets that do not fit, the kernel that refuses a write. */
function failureTurns(before: NodeStatus | undefined, now: NodeStatus): readonly Turn[] {
  const told = new Set((before?.failures ?? []).map(keyOf));
  return (now.failures ?? [])
    .filter((failure) => failure.kind !== "XdpPolicy" && !told.has(keyOf(failure)))
    .map((failure): Turn => {
      const { kind, name, code, message } = failure;
      const what = kind === undefined ? "" : `${kind} ${name ?? ""}: `;
      const reason = code === "SLUICE_APPLY_FAILED" ? "ApplyFailed" : "ObjectRefused";
      return ["Warning", reason, `${what}${message}`];
    });
}

/** Not the message, which may hold figures that change. */
function keyOf({ kind, name, code }: NonNullable<NodeStatus["failures"]>[number]): string {
  return [kind, name, code].join("\0");
}
