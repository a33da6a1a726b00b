import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { agentCapabilities } from "../../operator/health/capabilities.js";
import type { KubeObject } from "../support/cluster/apply.js";
import { render, type Values } from "./helm.js";
import { valueSets } from "./value-sets.js";

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string; readonly host?: string };
}

interface Container {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly ports?: readonly { readonly containerPort: number; readonly hostPort: number }[];
  readonly securityContext: {
    readonly privileged?: boolean;
    readonly readOnlyRootFilesystem?: boolean;
    readonly allowPrivilegeEscalation?: boolean;
    readonly capabilities?: { readonly add?: readonly string[]; readonly drop: readonly string[] };
    readonly seccompProfile?: object;
  };
  readonly volumeMounts?: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly mountPropagation?: string;
  }[];
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly terminationMessagePolicy?: string;
  readonly resources: object;
}

interface PodSpec {
  readonly [field: string]: unknown;
  readonly initContainers?: readonly Container[];
  readonly containers: readonly [Container];
  readonly volumes: readonly { readonly name: string; readonly [source: string]: unknown }[];
}

interface DaemonSet extends KubeObject {
  readonly spec: {
    readonly updateStrategy: object;
    readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
    readonly template: {
      readonly metadata: {
        readonly labels: Readonly<Record<string, string>>;
        readonly annotations: Readonly<Record<string, string>>;
      };
      readonly spec: PodSpec;
    };
  };
}

async function daemonSet(values: Values = {}): Promise<DaemonSet["spec"]> {
  return ((await render(values)).one("DaemonSet") as DaemonSet).spec;
}

async function agent(values: Values = {}): Promise<Container> {
  return (await daemonSet(values)).template.spec.containers[0];
}

function volume({ volumes }: PodSpec, name: string): object | undefined {
  return volumes.find((one) => one.name === name);
}

describe("the pod", () => {
  it("is on every Linux node, in its network, before all that may wait", async () => {
    const { template, updateStrategy } = await daemonSet();
    const { spec } = template;
    assert.equal(spec.hostNetwork, true);
    assert.equal(spec.priorityClassName, "system-node-critical");
    assert.deepEqual(spec.tolerations, [{ operator: "Exists" }]);
    assert.deepEqual(spec.nodeSelector, { "kubernetes.io/os": "linux" });
    assert.equal(spec.terminationGracePeriodSeconds, 10);
    assert.deepEqual(updateStrategy, {
      type: "RollingUpdate",
      rollingUpdate: { maxUnavailable: "10%" },
    });
  });

  it("asks the node's own resolvers, which the fail-safe rules let answer", async () => {
    assert.equal((await daemonSet()).template.spec.dnsPolicy, "Default");
  });

  it("has the labels by which kubectl sluice finds it, whatever the release is called", async () => {
    for (const values of Object.values(valueSets)) {
      const { selector, template } = await daemonSet(values);
      for (const labels of [selector.matchLabels, template.metadata.labels]) {
        assert.equal(labels["app.kubernetes.io/name"], "sluice");
        assert.equal(labels["app.kubernetes.io/component"], "agent");
      }
      for (const [key, value] of Object.entries(selector.matchLabels)) {
        assert.equal(template.metadata.labels[key], value);
      }
    }
  });

  it("is replaced when the config or the fail-safe list changes, and not for other values", async () => {
    const checksum = async (values: Values) =>
      (await daemonSet(values)).template.metadata.annotations["checksum/config"];
    const before = await checksum({});
    assert.match(before ?? "", /^[0-9a-f]{64}$/);
    assert.notEqual(await checksum({ logLevel: "debug" }), before);
    assert.notEqual(await checksum({ failSafe: [] }), before);
    assert.equal(await checksum({ podMonitor: { interval: "1m" } }), before);
  });

  it("takes labels and annotations, but none that unmakes it", async () => {
    const { metadata } = (
      await daemonSet({
        podLabels: { team: "network" },
        podAnnotations: { note: "kept" },
      })
    ).template;
    assert.equal(metadata.labels.team, "network");
    assert.equal(metadata.annotations.note, "kept");
    assert.equal(metadata.annotations["kubectl.kubernetes.io/default-container"], "agent");
  });
});

describe("the agent's container", () => {
  it("is not privileged: it has those capabilities only that agents are tested with", async () => {
    const { securityContext } = await agent();
    assert.equal(securityContext.privileged, undefined);
    assert.deepEqual(securityContext.capabilities?.drop, ["ALL"]);
    assert.deepEqual(
      securityContext.capabilities.add?.map((name) => `CAP_${name}`),
      agentCapabilities.map(({ name }) => name),
    );
    assert.equal(securityContext.allowPrivilegeEscalation, false);
    assert.equal(securityContext.readOnlyRootFilesystem, true);
    assert.deepEqual(securityContext.seccompProfile, { type: "RuntimeDefault" });
  });

  it("starts the agent of the image with its config and its account", async () => {
    const { command, args, env, terminationMessagePolicy } = await agent({
      extraArgs: ["--metadata"],
    });
    // docs/bench.md says what the flag and MALLOC_ARENA_MAX are worth.
    assert.deepEqual(command, [
      "node",
      "--max-semi-space-size=2",
      "/opt/sluice/dist/operator/agent/main.js",
    ]);
    assert.deepEqual(args, [
      "--service-account=/var/run/secrets/kubernetes.io/serviceaccount",
      "--config=/etc/sluice/agent.yaml",
      "--metadata",
    ]);
    assert.deepEqual(env, [
      { name: "MALLOC_ARENA_MAX", value: "1" },
      { name: "SLUICE_NODE_NAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
    ]);
    assert.equal(terminationMessagePolicy, "FallbackToLogsOnError");
  });

  it("has its image by digest when there is one, else by tag, else by the chart's version", async () => {
    const digest = `sha256:${"0".repeat(64)}`;
    const image = async (values: Values) => (await agent({ image: values })).image;
    assert.equal(await image({}), "sluice:0.1.0");
    assert.equal(await image({ repository: "a.example/b", tag: "c" }), "a.example/b:c");
    assert.equal(await image({ tag: "c", digest }), `sluice@${digest}`);
  });

  it("is asked for its health where it serves it", async () => {
    const hosts = { Loopback: "127.0.0.1", AllAddresses: "127.0.0.1", NodeAddress: undefined };
    for (const [listen, host] of Object.entries(hosts)) {
      const container = await agent({ metrics: { listen, port: 9000 } });
      const { startupProbe, readinessProbe, livenessProbe, ports } = container;
      const paths = [startupProbe, readinessProbe, livenessProbe].map((probe) => {
        assert.equal(probe?.httpGet.host, host);
        assert.equal(probe?.httpGet.port, "metrics");
        return probe?.httpGet.path;
      });
      assert.deepEqual(paths, ["/livez", "/readyz", "/livez"]);
      assert.deepEqual(ports, [
        { name: "metrics", containerPort: 9000, hostPort: 9000, protocol: "TCP" },
      ]);
    }
  });

  it("serves metrics on the node's address when asked to, for either family", async () => {
    const { env } = await agent({ metrics: { listen: "NodeAddress" } });
    const names = env?.map(({ name }) => name) ?? [];
    // A reference sees what stands above it only.
    assert.ok(names.indexOf("NODE_ADDRESS") < names.indexOf("SLUICE_METRICS_ADDRESS"));
    const address = env?.find(({ name }) => name === "SLUICE_METRICS_ADDRESS")?.value;
    assert.equal(address, "[$(NODE_ADDRESS)]:9977");
  });

  it("has a token that ends within the hour, and no other than its own", async () => {
    const { spec } = (await daemonSet()).template;
    assert.equal(spec.automountServiceAccountToken, false);
    assert.deepEqual(volume(spec, "token"), {
      name: "token",
      projected: {
        defaultMode: 0o400,
        sources: [
          { serviceAccountToken: { path: "token", expirationSeconds: 3600 } },
          { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
          {
            downwardAPI: {
              items: [{ path: "namespace", fieldRef: { fieldPath: "metadata.namespace" } }],
            },
          },
        ],
      },
    });
  });
});

describe("the BPF file system", () => {
  it("is mounted by a privileged init container and seen by the agent", async () => {
    const { spec } = (await daemonSet()).template;
    const [init] = spec.initContainers ?? [];
    assert.equal(init?.name, "mount-bpffs");
    assert.equal(init.securityContext.privileged, true);
    assert.deepEqual(init.volumeMounts, [
      { name: "bpffs", mountPath: "/sys/fs/bpf", mountPropagation: "Bidirectional" },
    ]);
    const mount = spec.containers[0].volumeMounts?.find(({ name }) => name === "bpffs");
    assert.equal(mount?.mountPropagation, "HostToContainer");
  });

  it("may be left to the node, and then nothing is privileged", async () => {
    const { spec } = (await daemonSet({ bpffs: { mount: false } })).template;
    assert.equal(spec.initContainers, undefined);
    assert.doesNotMatch(JSON.stringify(spec), /privileged/);
  });
});

describe("the way out", () => {
  it("cleans each node before the pod is ready, and runs no agent", async () => {
    const { spec } = (await daemonSet({ cleanup: true })).template;
    const [, cleanup] = spec.initContainers ?? [];
    assert.equal(cleanup?.name, "cleanup");
    assert.deepEqual(cleanup.command.slice(1), [
      "/opt/sluice/dist/operator/cli/main.js",
      "cleanup",
      "--yes",
      "--state-folder=/node/run/sluice",
    ]);
    const [idle] = spec.containers;
    assert.doesNotMatch(idle.command.join(" "), /agent/);
    assert.deepEqual(idle.securityContext.capabilities, { drop: ["ALL"] });
    assert.equal(idle.volumeMounts, undefined);
    assert.equal(volume(spec, "token"), undefined);
  });

  it("needs no init container for the mount", async () => {
    const { spec } = (await daemonSet({ cleanup: true, bpffs: { mount: false } })).template;
    assert.deepEqual(
      spec.initContainers?.map(({ name }) => name),
      ["cleanup"],
    );
  });
});
