import type { LabelExpression, LabelSelector } from "../model/records.js";

/**
 * A selector as kubectl takes it, `app=web,tier in (back,front)`; empty for one that selects
 * everything. Selectors of one meaning mostly have one text, two of different meanings never do.
 */
export function selectorText({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const parts = [
    ...Object.entries(matchLabels).map(([key, value]) => `${quoted(key)}=${quoted(value)}`),
    ...matchExpressions.map(expressionText),
  ];
  return [...new Set(parts)].sort().join(",");
}

function expressionText({ key, operator, values = [] }: LabelExpression): string {
  const name = quoted(key);
  const list = [...new Set(values.map(quoted))].sort();
  switch (operator) {
    case "Exists":
      return name;
    case "DoesNotExist":
      return `!${name}`;
    case "In":
      return list.length === 1 ? `${name}=${list[0]}` : `${name} in (${list.join(",")})`;
    case "NotIn":
      return `${name} notin (${list.join(",")})`;
  }
}

/** Files may hold what no API server takes: it must not read as something else. */
export function quoted(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : JSON.stringify(text);
}
