import { type ManifestCode, manifestCodes } from "../errors.js";

/** Steps from the root of an object to a field: names of fields and indexes of lists. */
export type FieldPath = readonly (string | number)[];

/** What is wrong with one field, before it is known which file and object the field is in. */
export interface Finding {
  readonly severity: "error" | "warning";
  readonly code: ManifestCode;
  readonly path: FieldPath;
  readonly message: string;
  readonly remedy: string;
}

/** A finding that makes the whole object refused. */
export function fault(
  code: ManifestCode,
  path: FieldPath,
  message: string,
  remedy: string = manifestCodes[code],
): Finding {
  return { severity: "error", code, path, message, remedy };
}

/** A finding that is only told. */
export function warning(
  code: ManifestCode,
  path: FieldPath,
  message: string,
  remedy: string = manifestCodes[code],
): Finding {
  return { severity: "warning", code, path, message, remedy };
}

/** `spec.ingress[2].from[0].cidr`; names that need it are quoted: `matchLabels["a.b/c"]`. */
export function formatPath(path: FieldPath): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else if (/^[A-Za-z_$][\w$-]*$/.test(step)) text += text === "" ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text;
}

const LONGEST_QUOTE = 64;

/** A value as JSON, cut to a length that fits a message. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? "undefined";
  return text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE)}…` : text;
}

/** Where findings are, as a tree over their paths. */
export interface FaultTree {
  /** A finding is exactly here. */
  readonly here: boolean;
  readonly below: ReadonlyMap<string | number, FaultTree>;
}

interface GrowingTree extends FaultTree {
  here: boolean;
  readonly below: Map<string | number, GrowingTree>;
}

/** @returns undefined when there are no findings */
export function faultTree(findings: readonly Finding[]): FaultTree | undefined {
  if (findings.length === 0) return undefined;
  const root: GrowingTree = { here: false, below: new Map() };
  for (const { path } of findings) {
    let tree = root;
    for (const step of path) {
      let next = tree.below.get(step);
      if (next === undefined) {
        next = { here: false, below: new Map() };
        tree.below.set(step, next);
      }
      tree = next;
    }
    tree.here = true;
  }
  return root;
}

/** The findings at a path and below it; undefined when there are none. */
export function faultsAt(tree: FaultTree | undefined, path: FieldPath): FaultTree | undefined {
  return path.reduce<FaultTree | undefined>((at, step) => at?.below.get(step), tree);
}

/** Problems told of one object; the rest is counted. */
const MOST_PROBLEMS = 50;

/** The findings to tell of one object: all, or so many that a list can be read. */
export function limitFindings(findings: readonly Finding[]): readonly Finding[] {
  if (findings.length <= MOST_PROBLEMS) return findings;
  // Errors first: a cut list must not hide why the object is refused.
  const ordered = findings.toSorted((a, b) => rank(a) - rank(b));
  const more = `${findings.length - MOST_PROBLEMS} more problems in this object`;
  return [...ordered.slice(0, MOST_PROBLEMS), fault("SLUICE_MORE_PROBLEMS", [], more)];
}

function rank({ severity }: Finding): number {
  return severity === "error" ? 0 : 1;
}
