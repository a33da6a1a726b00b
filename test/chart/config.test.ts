import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  type AgentOptions,
  createAgentCommand,
  resolveOptions,
} from "../../operator/agent/options.js";
import { podServiceAccount } from "../../operator/kube/service-account.js";
import { parseCidr } from "../../operator/model/cidr.js";
import type { KubeObject } from "../support/cluster/apply.js";
import { render, type Values } from "./helm.js";
import { valueSets } from "./value-sets.js";

interface ConfigMap extends KubeObject {
  readonly data: Readonly<Record<string, string>>;
}

interface DaemonSet extends KubeObject {
  readonly spec: {
    readonly template: {
      readonly spec: { readonly containers: readonly { readonly args: readonly string[] }[] };
    };
  };
}

/** What an agent makes of its command line and the files of the ConfigMap. */
async function agentOptions(values: Values): Promise<AgentOptions> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-config-"));
  try {
    const rendered = await render({ ...values, cleanup: false });
    const inFolder = (text: string) => text.replaceAll("/etc/sluice/", `${folder}/`);
    const configMap = rendered.objects.find(
      ({ kind, metadata }) => kind === "ConfigMap" && !metadata.name.endsWith("-dashboard"),
    ) as ConfigMap;
    for (const [name, text] of Object.entries(configMap.data)) {
      writeFileSync(join(folder, name), inFolder(text));
    }
    const { spec } = rendered.one("DaemonSet") as DaemonSet;
    const { args } = spec.template.spec.containers[0]!;
    const command = createAgentCommand().exitOverride();
    return resolveOptions(command.parse(args.map(inFolder), { from: "user" }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("command line and config file of the chart", () => {
  for (const [name, values] of Object.entries(valueSets)) {
    it(`make the agent watch the API server as its service account, for ${name}`, async () => {
      const { source } = await agentOptions(values);
      assert.ok(source.type === "kubernetes");
      assert.equal(source.serviceAccount, podServiceAccount);
    });
  }

  it("say by default what the agent does by default", async () => {
    const words = ["--manifests", "/", "--node-name", "n"];
    const bare = createAgentCommand().exitOverride().parse(words, { from: "user" });
    const { engine, metricsAddress, logLevel } = resolveOptions(bare);
    const ofChart = await agentOptions({});
    assert.deepEqual({ ...ofChart.engine, nodeName: "n" }, engine);
    assert.deepEqual(ofChart.metricsAddress, metricsAddress);
    assert.equal(ofChart.logLevel, logLevel);
  });

  it("carry every value to the agent", async () => {
    const { engine, logLevel, source } = await agentOptions(valueSets["an edge cluster"]!);
    assert.deepEqual(source.type === "kubernetes" && source.servers, [
      "https://192.0.2.10:6443",
      "https://[2001:db8::10]:6443",
    ]);
    const { failSafe, ...rest } = engine;
    assert.deepEqual(
      failSafe?.map(({ name }) => name),
      ["ssh", "office"],
    );
    assert.deepEqual(
      { ...rest, nodeName: "" },
      {
        nodeName: "",
        nodeLabels: {},
        uplinks: ["eth*", "bond0"],
        mode: "generic",
        pinRoot: "/sys/fs/bpf/sluice",
        stateFolder: "/run/sluice",
        unparsable: "Pass",
        apiServers: ["192.0.2.10:6443", "[2001:db8::10]:6443"],
        confirmProbes: ["192.0.2.1:443"],
        eventsPerSecond: 1_000_000,
        addressLines: 131_072,
        metadata: true,
      },
    );
    assert.equal(logLevel, "debug");
  });

  it("switch the fail-safe off only when the list is empty", async () => {
    assert.equal((await agentOptions({ failSafe: null })).engine.failSafe, undefined);
    assert.deepEqual((await agentOptions({ failSafe: [] })).engine.failSafe, []);
  });

  it("let the agent give pods their network when the values say so", async () => {
    assert.equal((await agentOptions({})).podNetwork, undefined);
    const { podNetwork } = await agentOptions(valueSets["a cluster with a pod network"]!);
    assert.deepEqual(podNetwork, {
      sysctlFolder: "/node/proc/sys",
      binFolder: "/node/cni/bin",
      configFolder: "/node/cni/net.d",
      routing: "direct",
      vxlan: { port: 8472, vni: 16_777_215 },
      mtu: 8950,
      masquerade: {
        enabled: true,
        exceptions: ["192.0.2.0/24", "2001:db8::/32"].map((text) => parseCidr(text)),
      },
    });
    const usual = (await agentOptions({ podNetwork: { enabled: true } })).podNetwork;
    assert.deepEqual(
      [usual?.routing, usual?.vxlan, usual?.mtu, usual?.masquerade],
      ["vxlan", { port: 4789, vni: 1 }, 0, { enabled: true, exceptions: [] }],
    );
  });

  it("serve metrics where the values say", async () => {
    const address = async (metrics: Values) => (await agentOptions({ metrics })).metricsAddress;
    assert.deepEqual(await address({ port: 9 }), { host: "127.0.0.1", port: 9 });
    assert.deepEqual(await address({ listen: "AllAddresses" }), { host: "", port: 9977 });
  });

  it("leave the node's own address to the pod, which writes it in brackets", () => {
    for (const [text, host] of [
      ["[192.0.2.7]:9977", "192.0.2.7"],
      ["[2001:db8::7]:9977", "2001:db8::7"],
    ] as const) {
      const words = ["--manifests", "/", "--metrics-address", text];
      const command = createAgentCommand().exitOverride().parse(words, { from: "user" });
      assert.deepEqual(resolveOptions(command).metricsAddress, { host, port: 9977 });
    }
  });
});
