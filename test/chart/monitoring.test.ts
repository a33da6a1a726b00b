import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { families } from "../../operator/observe/families.js";
import type { KubeObject } from "../support/cluster/apply.js";
import { release, render } from "./helm.js";
import { valueSets } from "./value-sets.js";

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

interface PrometheusRule extends KubeObject {
  readonly spec: { readonly groups: readonly { readonly rules: readonly Rule[] }[] };
}

interface ConfigMap extends KubeObject {
  readonly data: Readonly<Record<string, string>>;
}

interface Dashboard {
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly description: string;
    readonly gridPos: {
      readonly x: number;
      readonly y: number;
      readonly w: number;
      readonly h: number;
    };
    readonly targets: readonly { readonly expr: string; readonly legendFormat?: string }[];
  }[];
}

const monitored = await render(valueSets["a cluster with the Prometheus operator"]);
const { spec } = monitored.one("PrometheusRule") as PrometheusRule;
const rules = spec.groups.flatMap((group) => group.rules);
const { data } = monitored.one("ConfigMap", `${release.name}-dashboard`) as ConfigMap;
const { panels } = JSON.parse(data["sluice.json"]!) as Dashboard;

/** Labels that Prometheus adds to what it scrapes, by the PodMonitor. */
const targetLabels = ["node", "job", "instance"];

const labelsOf = new Map<string, readonly string[]>([
  ["up", targetLabels],
  ...families.map(({ name, labels }) => [name, [...labels, ...targetLabels]] as const),
]);

/** Metrics of an expression, with the labels by which it selects them. */
function metricsOf(expr: string): readonly (readonly [name: string, labels: readonly string[]])[] {
  return [...expr.matchAll(/\b(up|sluice_[a-z0-9_]+)\b(?:\{([^}]*)\})?/g)].map(
    ([, name = "", selector = ""]) =>
      [name, [...selector.matchAll(/(\w+)\s*[=!]~?"/g)].map(([, label = ""]) => label)] as const,
  );
}

function checkExpression(expr: string): ReadonlySet<string> {
  const metrics = metricsOf(expr);
  assert.ok(metrics.length > 0, expr);
  const there = new Set(targetLabels);
  for (const [name, labels] of metrics) {
    const known = labelsOf.get(name);
    assert.ok(known, `there is no metric ${name}`);
    for (const label of labels) assert.ok(known.includes(label), `${name} has no label ${label}`);
    for (const label of known) there.add(label);
  }
  // What is summed up has the labels of its `by` only.
  const by = /\bby \(([^)]*)\)/.exec(expr)?.[1]?.split(/,\s*/);
  for (const label of by ?? []) assert.ok(there.has(label), `${expr} has no label ${label}`);
  return by === undefined ? there : new Set(by);
}

describe("each alert", () => {
  for (const { alert, expr, annotations, labels, ...rule } of rules) {
    it(`stands on metrics of the agent, and says what to do: ${alert}`, () => {
      const there = checkExpression(expr);
      assert.match(rule.for, /^\d+m$/);
      assert.match(labels.severity, /^(critical|warning|info)$/);
      const text = `${annotations.summary} ${annotations.description}`;
      for (const [, label = ""] of text.matchAll(/\$labels\.(\w+)/g)) {
        assert.ok(there.has(label), `${alert} has no label ${label}`);
      }
      assert.ok(annotations.description.length > 40);
    });
  }

  it("is of the job of the PodMonitor", () => {
    const down = rules.find(({ alert }) => alert === "SluiceAgentDown");
    assert.equal(down?.expr, `up{job="${release.namespace}/${release.name}"} == 0`);
    assert.equal(monitored.one("PodMonitor").metadata.name, release.name);
  });
});

describe("each panel of the dashboard", () => {
  for (const { title, description, targets } of panels) {
    it(`shows metrics of the agent: ${title}`, () => {
      assert.ok(description.length > 0);
      for (const { expr, legendFormat = "" } of targets) {
        const there = checkExpression(expr);
        for (const [, label = ""] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
          assert.ok(there.has(label), `${expr} has no label ${label}`);
        }
      }
    });
  }

  it("has a place of its own", () => {
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, at) => `${x + (at % w)},${y + Math.floor(at / w)}`),
    );
    assert.equal(new Set(cells).size, cells.length);
    assert.ok(panels.every(({ gridPos: { x, w } }) => x + w <= 24));
  });
});
