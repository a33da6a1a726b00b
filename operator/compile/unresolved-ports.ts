import type { PolicyBlock } from "./policy-block.js";

/** A port name that stands for no number on any pod that it could. */
export interface UnresolvedPort {
  readonly name: string;
  /** On which pods it was looked for: those that the policy selects here, or the peers of its egress rules. */
  readonly on: "subjects" | "peers";
}

/**
 * Names of ports in rules of a policy that no pod has: what such an entry was to allow is not allowed (N26).
 *
 * @param block of a policy that has pods here
 */
export function unresolvedPorts({
  policy,
  subjects,
  ports,
}: PolicyBlock): readonly UnresolvedPort[] {
  const numbers = {
    subjects: subjects.flatMap(({ namedPorts }) => namedPorts),
    peers: [...ports].flatMap(([{ name }, members]) =>
      members.map(({ protocol }) => ({ name, protocol })),
    ),
  };
  const sides = [
    ["subjects", policy.ingress],
    ["peers", policy.egress],
  ] as const;
  const found = new Map<string, UnresolvedPort>();
  for (const [on, rules] of sides) {
    for (const entry of rules?.flatMap(({ protocols }) => protocols) ?? []) {
      if (entry.kind !== "namedPort") continue;
      const isThere = numbers[on].some(
        ({ name, protocol }) =>
          name === entry.name && (entry.protocol === undefined || entry.protocol === protocol),
      );
      if (!isThere) found.set(`${on} ${entry.name}`, { name: entry.name, on });
    }
  }
  return [...found.values()];
}
