import type { Condition } from "./condition.js";
import type { Occurrence } from "./events.js";
import type { ObjectFacts, ObjectStatus } from "./object-facts.js";

/** What is worth an Event between the status of an object before and now. */
export function objectOccurrences(facts: ObjectFacts, now: ObjectStatus): readonly Occurrence[] {
  const { kind, name, uid, status: before } = facts;
  const object = { apiVersion: "sluice.dev/v1alpha1", kind, name, uid };
  const generation = `generation ${facts.generation}`;
  const was = (type: string) => find(before, type);
  const is = (type: string) => find(now, type);
  const turned = (type: string, to: Condition["status"]) =>
    is(type)?.status === to && was(type)?.status !== to;
  const occurrences: Occurrence[] = [];
  const add = (type: Occurrence["type"], reason: string, message: string | undefined) =>
    occurrences.push({ object, type, reason, message: `${generation}: ${message ?? ""}` });
  if (turned("Accepted", "False")) add("Warning", "Refused", is("Accepted")?.message);
  else if (was("Accepted")?.status === "False" && turned("Accepted", "True")) {
    add("Normal", "Accepted", is("Accepted")?.message);
  }
  if (turned("Enforced", "True")) add("Normal", "Enforced", is("Enforced")?.message);
  // An object that is invalid is degraded by that alone, and has been told already.
  const isInvalid = is("Degraded")?.reason === "Invalid";
  if (turned("Degraded", "True") && !isInvalid) add("Warning", "Degraded", is("Degraded")?.message);
  if (was("Degraded")?.status === "True" && turned("Degraded", "False")) {
    add("Normal", "Recovered", is("Degraded")?.message);
  }
  return occurrences;
}

function find(status: ObjectStatus | undefined, type: string): Condition | undefined {
  return status?.conditions?.find((condition) => condition.type === type);
}
