/** Label selectors (N16). */

import type { LabelSelector, Metadata, NamespacedPods, SelectorRequirement } from "./manifests.js";

type Labels = Readonly<Record<string, string>>;

/** All requirements must hold; a selector without any selects everything. */
export function selects(selector: LabelSelector, labels: Labels): boolean {
  return (
    Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value) &&
    (selector.matchExpressions ?? []).every((requirement) => isMet(requirement, labels))
  );
}

function isMet({ key, operator, values = [] }: SelectorRequirement, labels: Labels): boolean {
  const value = labels[key];
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
  }
}

export function labelsOf({ labels }: Metadata): Labels {
  return labels ?? {};
}

/** Selectors that are missing select everything, as empty ones do. */
export function selectsPod(
  { namespaceSelector, podSelector }: NamespacedPods,
  namespaceLabels: Labels,
  podLabels: Labels,
): boolean {
  return selects(namespaceSelector ?? {}, namespaceLabels) && selects(podSelector ?? {}, podLabels);
}
