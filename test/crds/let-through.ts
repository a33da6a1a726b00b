import type { Problem } from "../../operator/model/records.js";
import type { JsonObject } from "./complete-objects.js";

/** A reason for which the agent refuses an object that the API server has taken. docs/crds.md lists them. */
export interface LetThrough {
  readonly title: string;
  readonly code: string;
  /** The field, without the indexes of lists. */
  readonly field: RegExp;
  readonly message: RegExp;
  /** Such an object's spec, for an XdpPolicy. */
  readonly spec: JsonObject;
}

const rule = (fields: JsonObject) => ({
  priority: 1,
  ingress: [{ name: "a", action: "Drop", ...fields }],
});
const except = (cidr: string, block: unknown) => rule({ from: [{ cidr, except: [block] }] });
const nodes = (expression: JsonObject) =>
  rule({ to: [{ nodes: { matchExpressions: [{ key: "role", ...expression }] } }] });
const exceptField = /^spec\.ingress\.(from|to)\.except$/;
const valuesField = /^spec\.ingress\.(from|to)\.nodes\.matchExpressions\.values$/;

export const letThrough: readonly LetThrough[] = [
  {
    title: "an except block with host bits",
    code: "SLUICE_CIDR",
    field: exceptField,
    message: /host bits/,
    spec: except("10.0.0.0/8", "10.1.0.1/16"),
  },
  {
    title: "an except block of IPv6 in another form than that of RFC 5952",
    code: "SLUICE_CIDR",
    field: exceptField,
    message: /not in canonical form|is not an IPv6 address|IPv4 address in IPv6 form/,
    spec: except("2001:db8::/32", "2001:db8:0::/48"),
  },
  {
    title: "an except block outside of its cidr",
    code: "SLUICE_EXCEPT",
    field: exceptField,
    message: /lies outside its cidr|is IPv[46], but its cidr/,
    spec: except("10.0.0.0/8", "11.0.0.0/16"),
  },
  {
    title: "an except block that is its cidr, or contains it",
    code: "SLUICE_EXCEPT",
    field: exceptField,
    message: /leaves nothing of its cidr|contains its cidr/,
    spec: except("10.0.0.0/8", "10.0.0.0/8"),
  },
  {
    title: "nodes by a label with In or NotIn, and no values",
    code: "SLUICE_RULE",
    field: valuesField,
    message: /takes at least one value/,
    spec: nodes({ operator: "In" }),
  },
  {
    title: "nodes by a label with Exists or DoesNotExist, and values",
    code: "SLUICE_RULE",
    field: valuesField,
    message: /takes no values/,
    spec: nodes({ operator: "Exists", values: ["edge"] }),
  },
  {
    title: "a list where a moment belongs",
    code: "SLUICE_SCHEMA",
    field: /\.expiresAt$/,
    message: /is a list, but a text belongs here/,
    spec: rule({ expiresAt: ["2100-01-01T00:00:00Z"] }),
  },
];

/**
 * Whether a problem that the agent found is one for which the server may have taken the object. What
 * is null the server takes out, so that it never arrives.
 */
export function isLetThrough(problem: Problem, object: JsonObject): boolean {
  const { code, field = "", message } = problem;
  const bare = field.replaceAll(/\[\d+\]/g, "");
  const isKnown = letThrough.some(
    (known) => known.code === code && known.field.test(bare) && known.message.test(message),
  );
  return (
    isKnown || (JSON.stringify(object).includes("null") && /^is empty$|^null is/.test(message))
  );
}
