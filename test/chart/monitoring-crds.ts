/**
 * CRDs of the Prometheus operator, cut down to what the chart uses. Fields that are not here are unknown to the API
 * server, which refuses them under strict validation.
 */

const labels = { type: "object", additionalProperties: { type: "string" } };

function crd(kind: string, plural: string, spec: object): object {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.monitoring.coreos.com` },
    spec: {
      group: "monitoring.coreos.com",
      scope: "Namespaced",
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase() },
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          schema: {
            openAPIV3Schema: { type: "object", required: ["spec"], properties: { spec } },
          },
        },
      ],
    },
  };
}

function object(required: readonly string[], properties: object): object {
  return { type: "object", required, properties };
}

function list(items: object): object {
  return { type: "array", items };
}

const text = { type: "string" };
const duration = {
  type: "string",
  pattern:
    "^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
};

export const monitoringCrds: readonly object[] = [
  crd(
    "PodMonitor",
    "podmonitors",
    object(["selector"], {
      selector: object([], { matchLabels: labels }),
      podMetricsEndpoints: list(
        object([], {
          port: text,
          path: text,
          interval: duration,
          relabelings: list(object([], { sourceLabels: list(text), targetLabel: text })),
        }),
      ),
    }),
  ),
  crd(
    "PrometheusRule",
    "prometheusrules",
    object([], {
      groups: list(
        object(["name"], {
          name: { type: "string", minLength: 1 },
          rules: list(
            object(["expr"], {
              alert: text,
              expr: {
                anyOf: [{ type: "integer" }, { type: "string" }],
                "x-kubernetes-int-or-string": true,
              },
              for: duration,
              labels,
              annotations: labels,
            }),
          ),
        }),
      ),
    }),
  ),
];
