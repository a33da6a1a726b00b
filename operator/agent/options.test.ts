import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { CommanderError } from "commander";
import { SluiceError } from "../errors.js";
import { parseCidr } from "../model/cidr.js";
import { createAgentCommand, resolveOptions } from "./options.js";

let folder: string;
let printed = "";
const environment = new Set<string>();

before(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-options-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => {
  for (const name of environment) delete process.env[name];
  environment.clear();
});

function setEnvironment(name: string, value: string): void {
  environment.add(name);
  process.env[name] = value;
}

function save(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function read(...words: readonly string[]) {
  printed = "";
  const command = createAgentCommand()
    .exitOverride()
    .configureOutput({ writeErr: (text) => void (printed += text) });
  return resolveOptions(command.parse(words, { from: "user" }));
}

test("defaults are those of the help", () => {
  const options = read("--manifests", "/m");
  assert.deepEqual(options, {
    source: { type: "folder", folder: "/m" },
    podNetwork: undefined,
    socketPath: "/run/sluice/agent.sock",
    metricsAddress: { host: "127.0.0.1", port: 9977 },
    logLevel: "info",
    engine: {
      nodeName: hostname(),
      nodeLabels: {},
      uplinks: [],
      mode: "native",
      pinRoot: "/sys/fs/bpf/sluice",
      stateFolder: "/run/sluice",
      unparsable: "Drop",
      failSafe: undefined,
      apiServers: [],
      confirmProbes: [],
      eventsPerSecond: 1000,
      addressLines: 524_288,
      metadata: false,
    },
  });
});

test("every option can come from the command line", () => {
  const words = `
    --manifests /m --node-name n1 --node-labels role=edge,a.b/c=,x=1
    --uplinks eth*,bond? --mode generic --pin-root /sys/fs/bpf/a
    --state-folder /s --socket /s/a.sock --unparsable Pass
    --api-server 10.0.0.1:6443 --api-server [2001:db8::1]:6443
    --confirm-probe 10.0.0.1:6443,10.0.0.2:22 --events-per-second 0
    --address-lines 2048 --metadata --metrics-address none --log-level debug
  `;
  const options = read(...words.trim().split(/\s+/));
  assert.deepEqual(options.engine.nodeLabels, { role: "edge", "a.b/c": "", x: "1" });
  assert.deepEqual(options.engine.uplinks, ["eth*", "bond?"]);
  assert.deepEqual(options.engine.apiServers, ["10.0.0.1:6443", "[2001:db8::1]:6443"]);
  assert.deepEqual(options.engine.confirmProbes, ["10.0.0.1:6443", "10.0.0.2:22"]);
  assert.equal(options.engine.unparsable, "Pass");
  assert.equal(options.engine.metadata, true);
  assert.equal(options.engine.eventsPerSecond, 0);
  assert.equal(options.metricsAddress, undefined);
  assert.equal(options.socketPath, "/s/a.sock");
});

const usualRouting = {
  routing: "vxlan",
  vxlan: { port: 4789, vni: 1 },
  mtu: 0,
  masquerade: { enabled: true, exceptions: [] },
};

test("the plugin of a pod network is installed where that is said", () => {
  const api = ["--kubeconfig", "/k", "--pod-network"];
  const sysctlFolder = "/proc/sys";
  assert.deepEqual(read(...api).podNetwork, {
    sysctlFolder,
    binFolder: undefined,
    configFolder: undefined,
    flows: undefined,
    ...usualRouting,
  });
  assert.deepEqual(
    read(
      ...[...api, "--cni-bin-dir", "/opt/cni/bin", "--cni-conf-dir", "/etc/cni/net.d"],
      ...["--flows", "65536"],
    ).podNetwork,
    {
      sysctlFolder,
      binFolder: "/opt/cni/bin",
      configFolder: "/etc/cni/net.d",
      flows: 65_536,
      ...usualRouting,
    },
  );
});

test("pods are routed in tunnels or without, and masqueraded but for exceptions", () => {
  const podNetwork = (...words: readonly string[]) =>
    read("--kubeconfig", "/k", "--pod-network", ...words).podNetwork;
  const { routing, vxlan, mtu } = podNetwork(
    ...["--pod-routing", "direct", "--vxlan-port", "8472", "--vxlan-vni", "7", "--pod-mtu", "8950"],
  )!;
  assert.deepEqual([routing, vxlan, mtu], ["direct", { port: 8472, vni: 7 }, 8950]);
  assert.equal(podNetwork("--masquerade", "false")?.masquerade.enabled, false);
  assert.deepEqual(
    podNetwork("--masquerade-exceptions", "10.0.0.0/8,fd00::/8")?.masquerade.exceptions,
    [parseCidr("10.0.0.0/8"), parseCidr("fd00::/8")],
  );
  for (const [words, message] of [
    [["--pod-routing", "ipip"], /vxlan, direct, underlay/],
    [["--vxlan-vni", "16777216"], /from 1 to 16777215/],
    [["--pod-mtu", "1000"], /from 1280 to 65535/],
    [["--masquerade-exceptions", "10.0.0.1/8"], /10\.0\.0\.0\/8/],
  ] as const) {
    assert.throws(() => podNetwork(...words), message);
  }
});

test("the command line wins over the environment, the environment over the file", () => {
  const config = save(
    "order.yaml",
    "manifests: /file\nnodeName: file\nmode: offload\nlogLevel: warn\n",
  );
  setEnvironment("SLUICE_NODE_NAME", "environment");
  setEnvironment("SLUICE_MODE", "generic");
  setEnvironment("SLUICE_CONFIG", config);
  const options = read("--mode", "native");
  assert.deepEqual(options.source, { type: "folder", folder: "/file" });
  assert.equal(options.engine.nodeName, "environment");
  assert.equal(options.engine.mode, "native");
  assert.equal(options.logLevel, "warn");
});

test("lists, maps, numbers and booleans of the file are what they look like", () => {
  const config = save(
    "types.yaml",
    `
manifests: /m
nodeLabels: {role: edge, zone: a}
uplinks: [eth0, eth1]
apiServer: ["10.0.0.1:6443", "10.0.0.2:6443"]
eventsPerSecond: 5
metadata: true
metricsAddress: none
`,
  );
  const { engine, metricsAddress } = read("--config", config);
  assert.deepEqual(engine.nodeLabels, { role: "edge", zone: "a" });
  assert.deepEqual(engine.uplinks, ["eth0", "eth1"]);
  assert.deepEqual(engine.apiServers, ["10.0.0.1:6443", "10.0.0.2:6443"]);
  assert.equal(engine.eventsPerSecond, 5);
  assert.equal(engine.metadata, true);
  assert.equal(metricsAddress, undefined);
});

test("booleans of the environment can be false", () => {
  setEnvironment("SLUICE_METADATA", "false");
  assert.equal(read("--manifests", "/m").engine.metadata, false);
  setEnvironment("SLUICE_METADATA", "true");
  assert.equal(read("--manifests", "/m").engine.metadata, true);
});

const refusedFiles: readonly (readonly [text: string, message: RegExp])[] = [
  ["manifest: /m", /unknown key manifest\. Did you mean manifests\?/],
  ["node-name: x", /unknown key node-name\. Did you mean nodeName\?/],
  ["config: other.yaml", /unknown key config/],
  ["mode: turbo", /mode in the config file .* is turbo\. Use one of native, generic, offload/],
  ["eventsPerSecond: many", /eventsPerSecond .* is many\. Write a whole number from 0 to 1000000/],
  ["uplinks: ['eth[0-9]']", /uplinks .* is eth\[0-9\]/],
  ["nodeName:", /nodeName .* has no value/],
  ["- a", /holds no map of options/],
  ["a: [", /is no YAML/],
];

for (const [text, message] of refusedFiles) {
  test(`a config file with ${JSON.stringify(text)} is refused`, () => {
    const config = save("wrong.yaml", text);
    assert.throws(
      () => read("--manifests", "/m", "--config", config),
      (error: unknown) =>
        error instanceof SluiceError &&
        error.code === "SLUICE_CONFIG" &&
        message.test(error.message),
    );
  });
}

test("a wrong value in the file is found even when the command line overrules it", () => {
  const config = save("overruled.yaml", "mode: turbo");
  assert.throws(
    () => read("--manifests", "/m", "--mode", "native", "--config", config),
    (error: unknown) => error instanceof SluiceError && error.code === "SLUICE_CONFIG",
  );
});

test("an empty config file is no config", () => {
  const { source } = read("--manifests", "/m", "--config", save("empty.yaml", ""));
  assert.deepEqual(source, { type: "folder", folder: "/m" });
});

test("the API server as a source: who asks, and where", () => {
  assert.deepEqual(
    read("--service-account", "/sa", "--api-server", "10.0.0.1:6443,[fd00::1]:6443").source,
    {
      type: "kubernetes",
      serviceAccount: "/sa",
      servers: ["https://10.0.0.1:6443", "https://[fd00::1]:6443"],
      leaseNamespace: undefined,
    },
  );
  assert.deepEqual(read("--kubeconfig", "/k", "--lease-namespace", "sluice").source, {
    type: "kubernetes",
    kubeconfig: "/k",
    servers: [],
    leaseNamespace: "sluice",
  });
});

const refusedWords: readonly (readonly [words: string, message: RegExp])[] = [
  ["", /no source is given: use one of --manifests, --service-account and --kubeconfig/],
  ["--manifests /m --kubeconfig /k", /more than one source is given/],
  ["--manifests /m --mode turbo", /Allowed choices are native, generic, offload/],
  ["--manifests /m --node-labels role", /role is no label/],
  ["--manifests /m --node-labels role=a/b", /a\/b is no label value/],
  ["--manifests /m --uplinks ^eth", /\^eth is no glob/],
  ["--manifests /m --api-server kubernetes:6443", /kubernetes is no IP address/],
  ["--manifests /m --api-server 10.0.0.1", /10\.0\.0\.1 is no HOST:PORT/],
  ["--manifests /m --api-server 10.0.0.1:0", /has port 0/],
  ["--manifests /m --api-server 10.0.0.1:70000", /is no HOST:PORT/],
  ["--manifests /m --events-per-second -1", /from 0 to 1000000/],
  ["--manifests /m --address-lines 1", /from 1024 to 524288/],
  ["--manifests /m --metrics-address 9977", /is no HOST:PORT/],
  ["--manifests /m --log-level loud", /Allowed choices/],
  ["--manifests /m surplus", /too many arguments/],
  ["--manifests /m --nonsense", /unknown option/],
];

for (const [words, message] of refusedWords) {
  test(`sluice-agent ${words} is refused`, () => {
    assert.throws(
      () => read(...words.split(" ").filter(Boolean)),
      (error: unknown) => error instanceof CommanderError && error.exitCode !== 0,
    );
    assert.match(printed, message);
  });
}

test("metrics can be served on all addresses and on IPv6", () => {
  assert.deepEqual(read("--manifests", "/m", "--metrics-address", ":9977").metricsAddress, {
    host: "",
    port: 9977,
  });
  assert.deepEqual(read("--manifests", "/m", "--metrics-address", "[::1]:0").metricsAddress, {
    host: "::1",
    port: 0,
  });
});

test("the help names every option with its variable", () => {
  let help = "";
  const command = createAgentCommand()
    .exitOverride()
    .configureOutput({ writeOut: (text) => void (help += text) });
  assert.throws(() => command.parse(["--help"], { from: "user" }), CommanderError);
  for (const option of command.options.filter(({ long }) => long !== "--version")) {
    assert.ok(help.includes(option.long ?? "?"), option.long ?? "?");
    assert.ok(help.includes(option.envVar ?? "?"), option.envVar ?? "?");
  }
  assert.match(help, /Exit codes:/);
  assert.match(help, /SIGUSR1/);
});
