import { fault, type FieldPath, type Finding } from "./finding.js";
import { nearest } from "./nearest.js";

/** Fields of a value: of an object by name, of all entries of a list; true: anything. */
type Fields = true | readonly [Fields] | { readonly [name: string]: Fields };

const selector: Fields = {
  matchLabels: true,
  matchExpressions: [{ key: true, operator: true, values: true }],
};
const peer: Fields = {
  podSelector: selector,
  namespaceSelector: selector,
  ipBlock: { cidr: true, except: true },
};
const port: Fields = { protocol: true, port: true, endPort: true };
const networkPolicy: Fields = {
  apiVersion: true,
  kind: true,
  metadata: true,
  status: true,
  spec: {
    podSelector: selector,
    policyTypes: true,
    ingress: [{ from: [peer], ports: [port] }],
    egress: [{ to: [peer], ports: [port] }],
  },
};

/**
 * Fields that a NetworkPolicy does not have. The API server, asked by kubectl, refuses them: left out in silence, a
 * mistyped selector selects everything.
 */
export function unknownFields(manifest: unknown): readonly Finding[] {
  return [...walk(manifest, networkPolicy, [])];
}

function* walk(value: unknown, fields: Fields, path: FieldPath): Generator<Finding> {
  if (fields === true || typeof value !== "object" || value === null) return;
  if (isList(fields)) {
    if (!Array.isArray(value)) return;
    for (const [index, entry] of value.entries()) yield* walk(entry, fields[0], [...path, index]);
    return;
  }
  for (const [name, inner] of Object.entries(value)) {
    const known = fields[name];
    if (known !== undefined) {
      yield* walk(inner, known, [...path, name]);
      continue;
    }
    const meant = nearest(name, Object.keys(fields));
    const remedy = meant === undefined ? undefined : `Did you mean ${meant}?`;
    const message = `there is no field ${name}`;
    yield fault("SLUICE_UNKNOWN_FIELD", [...path, name], message, remedy);
  }
}

function isList(fields: Exclude<Fields, true>): fields is readonly [Fields] {
  return Array.isArray(fields);
}
