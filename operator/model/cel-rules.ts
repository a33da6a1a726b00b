import { Environment } from "@marcbachmann/cel-js";
import type { FaultTree, FieldPath, Finding } from "./finding.js";
import { fault, quote } from "./finding.js";
import type { JsonSchema, ValidationRule } from "./schema.js";

/**
 * Rules with functions that only the API server has: on the text of addresses, and on sets, which
 * cost less there than a rule in plain CEL. The projection reads these fields itself, refuses the
 * same ones, and says which entry is wrong and what to write instead.
 */
const SERVER_FUNCTIONS = /\b(isCIDR|cidr|isIP|ip)\(|\bip\.isCanonical\(|\bsets\./;

const environment = new Environment().registerVariable("self", "dyn");

/** The path is the walk's own, and is copied into findings. */
type Check = (value: unknown, path: FieldPath, into: Finding[]) => void;

/** The parts of a schema that have rules, in them or below: a walk over them skips all else. */
interface RuleTree {
  readonly checks: readonly Check[];
  readonly unique: Check | undefined;
  readonly properties: ReadonlyMap<string, RuleTree>;
  readonly items: RuleTree | undefined;
}

/**
 * Makes a check of the CEL rules and of the uniqueness in lists that a schema asks for. It expects
 * a value with the schema's defaults filled in, and leaves out objects that have structural faults.
 */
export function compileRules(
  schema: JsonSchema,
): (value: unknown, faults: FaultTree | undefined) => readonly Finding[] {
  const tree = plan(schema);
  return (value, faults) => {
    const findings: Finding[] = [];
    if (tree !== undefined) walk(tree, value, [], faults, findings);
    return findings;
  };
}

function plan(schema: JsonSchema): RuleTree | undefined {
  const checks: Check[] = [];
  for (const rule of schema["x-kubernetes-validations"] ?? []) {
    if (!SERVER_FUNCTIONS.test(rule.rule)) checks.push(celCheck(rule));
  }
  const unique = uniqueCheck(schema);
  const properties = new Map<string, RuleTree>();
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const below = plan(property);
    if (below !== undefined) properties.set(name, below);
  }
  const items = schema.items === undefined ? undefined : plan(schema.items);
  const isEmpty = checks.length === 0 && unique === undefined && items === undefined;
  return isEmpty && properties.size === 0 ? undefined : { checks, unique, properties, items };
}

function walk(
  tree: RuleTree,
  value: unknown,
  path: (string | number)[],
  faults: FaultTree | undefined,
  into: Finding[],
): void {
  if (faults?.here === true) return;
  if (faults === undefined) {
    for (const check of tree.checks) check(value, path, into);
  }
  tree.unique?.(value, path, into);
  if (tree.items !== undefined && Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      path.push(index);
      walk(tree.items, item, path, faults?.below.get(index), into);
      path.pop();
    }
  }
  for (const [name, below] of tree.properties) {
    const property = (value as Record<string, unknown>)[name];
    if (property !== undefined) {
      path.push(name);
      walk(below, property, path, faults?.below.get(name), into);
      path.pop();
    }
  }
}

function celCheck({ rule, message, fieldPath }: ValidationRule): Check {
  const holds = environment.parse(rule);
  const [what = message, remedy] = message.split(/; (.*)/s, 2);
  const below = fieldPath === undefined ? [] : fieldPath.split(".").slice(1);
  return (value, path, into) => {
    if (holds({ self: value }) === true) return;
    const about = typeof value === "string" ? `${quote(value)} ${what}` : what;
    into.push(fault("SLUICE_RULE", [...path, ...below], about, remedy && capitalized(remedy)));
  };
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * Refuses the later of two equal entries of a set, or of two entries with one key of a list-map.
 */
function uniqueCheck(schema: JsonSchema): Check | undefined {
  const type = schema["x-kubernetes-list-type"];
  const keys = type === "map" ? schema["x-kubernetes-list-map-keys"] : undefined;
  if (type !== "set" && keys === undefined) return undefined;
  const identity = (item: unknown) =>
    keys === undefined ? item : JSON.stringify(keys.map((key) => fieldOf(item, key)));
  return (value, path, into) => {
    const firsts = new Map<unknown, number>();
    for (const [index, item] of (value as readonly unknown[]).entries()) {
      if (keys !== undefined && (typeof item !== "object" || item === null)) continue;
      const first = firsts.get(identity(item));
      if (first === undefined) {
        firsts.set(identity(item), index);
        continue;
      }
      const key = keys?.[0];
      const at = key === undefined ? [index] : [index, key];
      const text = quote(key === undefined ? item : fieldOf(item, key));
      into.push(
        fault(
          "SLUICE_DUPLICATE_ENTRY",
          [...path, ...at],
          `${text} is already entry ${first} of this list (counted from 0)`,
        ),
      );
    }
  };
}

function fieldOf(item: unknown, name: string): unknown {
  return (item as Record<string, unknown>)[name];
}
