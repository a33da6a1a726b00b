import type { Problem } from "./records.js";

/**
 * One line for people: `edge.yaml:12: XdpPolicy edge: spec.ingress[2].action: "drop" is none of … .
 * Did you mean Drop? (generation 3 stays in force)`.
 */
export function formatProblem(problem: Problem): string {
  const { origin, kind, name, field, message, remedy, keptGeneration } = problem;
  const line = problem.line ?? origin.line;
  const parts = [line === undefined ? origin.source : `${origin.source}:${line}`];
  if (kind !== undefined) parts.push(name === undefined ? kind : `${kind} ${name}`);
  if (field !== undefined) parts.push(field);
  parts.push(message);
  const end = /[.?!]$/.test(remedy) ? "" : ".";
  const kept = keptGeneration === undefined ? "" : ` (generation ${keptGeneration} stays in force)`;
  return `${parts.join(": ")}. ${remedy}${end}${kept}`;
}
