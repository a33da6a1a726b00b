import type { KubeObject } from "../kube/object.js";
import type { LabelSelector, Problem } from "../model/records.js";
import type { Condition } from "./condition.js";

/** Status of an XdpPolicy or XdpCidrSet as it stands in the API server. */
export interface ObjectStatus {
  readonly observedGeneration?: number;
  readonly conditions?: readonly Condition[];
  readonly [field: string]: unknown;
}

interface Facts {
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  /** What admission found in this generation. */
  readonly problems: readonly Problem[];
  readonly status: ObjectStatus | undefined;
}

/** What the status of an XdpPolicy is made of, besides its nodes. */
export interface PolicyFacts extends Facts {
  readonly kind: "XdpPolicy";
  /** Undefined when it cannot be read. */
  readonly nodeSelector: LabelSelector | undefined;
  readonly mode: "Enforce" | "Audit";
}

/** What the status of an XdpCidrSet is made of, besides the nodes. */
export interface SetFacts extends Facts {
  readonly kind: "XdpCidrSet";
  readonly ipv4: number;
  readonly ipv6: number;
}

export type ObjectFacts = PolicyFacts | SetFacts;

/**
 * Reads an object as the API server gave it, also one that was refused.
 *
 * @param problems what `admit` said of it
 */
export function readFacts(
  kind: ObjectFacts["kind"],
  object: KubeObject,
  problems: readonly Problem[],
): ObjectFacts {
  const { name, uid = "", generation = 0 } = object.metadata;
  const status = object["status"] as ObjectStatus | undefined;
  const spec = (object["spec"] ?? {}) as Readonly<Record<string, unknown>>;
  const facts = { name, uid, generation, problems, status };
  if (kind === "XdpCidrSet") return { kind, ...facts, ...countEntries(spec) };
  const isRefused = problems.some(({ severity }) => severity === "error");
  const selector = spec["nodeSelector"] ?? {};
  const isReadable = !isRefused || isSelector(selector);
  return {
    kind,
    ...facts,
    nodeSelector: isReadable ? selector : undefined,
    mode: spec["mode"] === "Audit" ? "Audit" : "Enforce",
  };
}

function isSelector(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { matchLabels = {}, matchExpressions = [] } = value as Record<string, unknown>;
  return (
    typeof matchLabels === "object" &&
    matchLabels !== null &&
    Array.isArray(matchExpressions) &&
    matchExpressions.every(
      (entry: unknown) => typeof entry === "object" && entry !== null && "operator" in entry,
    )
  );
}

function countEntries({ cidrs, expiring }: Readonly<Record<string, unknown>>) {
  const plain = Array.isArray(cidrs) ? (cidrs as readonly unknown[]) : [];
  const ending = Array.isArray(expiring) ? (expiring as readonly { cidr?: unknown }[]) : [];
  let ipv6 = 0;
  const add = (text: unknown) => {
    if (typeof text === "string" && text.includes(":")) ipv6 += 1;
  };
  for (const text of plain) add(text);
  for (const entry of ending) add(entry?.cidr);
  return { ipv4: plain.length + ending.length - ipv6, ipv6 };
}
