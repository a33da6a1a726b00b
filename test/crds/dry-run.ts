import type { Admission } from "../../operator/model/admit.js";
import { admit } from "../../operator/model/admit.js";
import { API_SOURCE } from "../../operator/model/records.js";
import type { Cluster } from "../support/cluster/cluster.js";
import type { JsonObject } from "./complete-objects.js";

/** What the API server says of an object. */
export interface Verdict {
  readonly accepted: boolean;
  /** The object with defaults filled in, when it was accepted. */
  readonly object: JsonObject | undefined;
  /** HTTP status and message of the answer. */
  readonly status: number;
  readonly message: string;
  readonly refusals: readonly Refusal[];
}

export interface Refusal {
  readonly field: string;
  readonly message: string;
}

const PLURALS: Readonly<Record<string, string>> = {
  XdpPolicy: "xdppolicies",
  XdpCidrSet: "xdpcidrsets",
};

/** Where objects of a kind are. */
export function collectionOf(object: JsonObject): string {
  return `/apis/${String(object["apiVersion"])}/${PLURALS[object["kind"] as string]}`;
}

/** Asks the API server whether it would take an object, without creating it. */
export async function dryRun(cluster: Pick<Cluster, "rest">, object: JsonObject): Promise<Verdict> {
  const { status, text } = await cluster.rest.send({
    method: "POST",
    path: `${collectionOf(object)}?dryRun=All&fieldValidation=Strict`,
    body: object,
  });
  const answer = JSON.parse(text) as Status & JsonObject;
  const accepted = status === 201;
  return {
    accepted,
    object: accepted ? answer : undefined,
    status,
    message: answer.message ?? "",
    refusals: accepted ? [] : refusalsOf(answer),
  };
}

interface Status {
  readonly message?: string;
  readonly details?: {
    readonly causes?: readonly { readonly field?: string; readonly message?: string }[];
  };
}

/** The server says this besides the real refusals when it left its rules out. */
const NOT_CHECKED = /some validation rules were not checked/;

function refusalsOf({ message = "", details }: Status): readonly Refusal[] {
  const causes = (details?.causes ?? [])
    .map((cause) => ({ field: cause.field ?? "", message: cause.message ?? "" }))
    .filter((refusal) => !NOT_CHECKED.test(refusal.message));
  if (causes.length > 0) return causes;
  // Unknown fields are found by the decoder, which names them in its message only.
  const unknown = [...message.matchAll(/unknown field "([^"]*)"/g)];
  return unknown.length > 0
    ? unknown.map(([text, field = ""]) => ({ field, message: text }))
    : [{ field: "", message }];
}

/** The moment at which these tests admit objects. */
const NOW_MS = Date.UTC(2026, 5, 1);

/** What the agent says of an object that the API server sent. A copy is read, and filled with defaults. */
export function admitCopy(object: JsonObject): Admission & { readonly value: JsonObject } {
  const value = structuredClone(object);
  return { ...admit({ value, origin: { source: API_SOURCE } }, NOW_MS), value };
}

/** Fields that the agent refuses, with names as the server writes them: `a.b/c` and not `["b/c"]`. */
export function refusedFields({ problems }: Admission): readonly string[] {
  return problems
    .filter(({ severity }) => severity === "error")
    .map(({ field = "" }) =>
      field.replaceAll(/\[("(?:[^"\\]|\\.)*")\]/g, (_, name: string) => `.${JSON.parse(name)}`),
    );
}

/** Runs work on each item, a few at a time, in their order. */
export async function forEachOf<T>(
  items: Iterable<T>,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items[Symbol.iterator]();
  await Promise.all(
    Array.from({ length: 6 }, async () => {
      for (let next = queue.next(); next.done !== true; next = queue.next()) await work(next.value);
    }),
  );
}
