import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { installConfig } from "../../operator/cni/install.js";
import { cniVersions, isAtLeast } from "../../operator/cni/versions.js";
import { toolPath } from "../support/cluster/tools.js";
import { type Lab, type Namespace, withNamespaces } from "../support/netns.js";
import { type CniNode, createNode, type ShimResult } from "./node.js";

interface ToolAnswer {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Tool {
  (verb: string, pod: Namespace, capabilities?: object): ToolAnswer;
}

/** The real libcni with a network configuration; its cache is the test's, not the machine's. */
function openTool(lab: Lab, node: CniNode, name: string, config: object | undefined): Tool {
  const configFolder = join(node.folder, `net-${name}`);
  const cache = join(node.folder, `cache-${name}`);
  for (const folder of [configFolder, cache]) mkdirSync(folder);
  if (config === undefined) installConfig(configFolder);
  else writeFileSync(join(configFolder, `${name}.conflist`), JSON.stringify(config));
  const program = toolPath("cnitool");
  return (verb, pod, capabilities) => {
    const script = 'mount --bind "$0" /var/lib && exec "$@"';
    const command = ["--mount", "sh", "-c", script, cache, program, verb, name, pod.path];
    const { status, stdout, stderr } = spawnSync("unshare", command, {
      encoding: "utf8",
      env: {
        ...process.env,
        NETCONFPATH: configFolder,
        CNI_PATH: node.binFolder,
        CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAMESPACE=web;K8S_POD_NAME=app",
        CAP_ARGS: capabilities === undefined ? "" : JSON.stringify(capabilities),
      },
    });
    return { status, stdout, stderr };
  };
}

function expectDone({ status, stdout, stderr }: ToolAnswer): string {
  assert.equal(status, 0, `${stdout}\n${stderr}`);
  return stdout;
}

test("the real libcni attaches, checks, detaches, collects and asks, in every version", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab);
    const server = await node.start();
    const pod = lab.namespace("pod");
    for (const version of cniVersions) {
      const name = `v${version.replaceAll(".", "-")}`;
      const tool = openTool(lab, node, name, {
        cniVersion: version,
        name,
        plugins: [{ type: "sluice" }],
      });
      if (isAtLeast(version, "1.1.0")) expectDone(tool("status", pod));
      const result = JSON.parse(expectDone(tool("add", pod))) as ShimResult & {
        readonly ip4?: { readonly ip: string };
      };
      assert.equal(result.cniVersion, version);
      const address = result.ip4?.ip ?? result.ips?.[0]?.address ?? "";
      assert.match(address, /^10\.244\.1\.\d+\/32$/);
      assert.ok(pod.run("ip", "address", "show", "eth0").includes(`inet ${address}`), version);
      if (isAtLeast(version, "0.4.0")) {
        expectDone(tool("check", pod));
        pod.run("ip", "address", "delete", address, "dev", "eth0");
        const broken = tool("check", pod);
        assert.match(broken.stderr + broken.stdout, /eth0 has no address/);
      }
      expectDone(tool("del", pod));
      expectDone(tool("del", pod));
      assert.doesNotMatch(pod.run("ip", "link"), /eth0/);
      if (isAtLeast(version, "1.1.0")) {
        expectDone(tool("add", pod));
        expectDone(tool("gc", pod));
      }
      assert.deepEqual(
        await server.state(),
        { attachments: 0, used: [0, 0], attached: 0 },
        version,
      );
    }
    await server.kill();
    const last = openTool(lab, node, "later", {
      cniVersion: "1.1.0",
      name: "later",
      plugins: [{ type: "sluice" }],
    });
    const status = last("status", pod);
    assert.notEqual(status.status, 0);
    assert.match(status.stderr + status.stdout, /does not answer/);
  }));

test("the network configuration that Sluice installs passes on what pods ask for", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab);
    await node.start();
    const pod = lab.namespace("pod");
    const tool = openTool(lab, node, "sluice", undefined);
    const portMappings = [{ hostPort: 80, containerPort: 8080, protocol: "tcp" }];
    const wanted = { ips: ["10.244.1.50/24"], mac: "02:00:00:00:00:50", portMappings };
    expectDone(tool("add", pod, wanted));
    const link = pod.run("ip", "address", "show", "eth0");
    assert.match(link, /02:00:00:00:00:50/);
    assert.match(link, /10\.244\.1\.50\/32/);
    const other = lab.namespace("other");
    const refused = tool("add", other, { portMappings });
    assert.match(refused.stderr + refused.stdout, /hostPort 80\/tcp is in use/);
    expectDone(tool("del", pod));
    expectDone(tool("add", other, { portMappings }));
    expectDone(tool("del", other));
  }));

test("a plugin that follows gets the result, and Sluice extends that of one before", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab);
    await node.start();
    const pod = lab.namespace("pod");
    const plugin = (name: string, script: string) =>
      writeFileSync(join(node.binFolder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const given = {
      cniVersion: "1.1.0",
      interfaces: [{ name: "net0", sandbox: pod.path }],
      ips: [{ address: "192.0.2.9/24", interface: 0 }],
    };
    plugin(
      "before",
      `cat >/dev/null; [ "$CNI_COMMAND" != ADD ] || echo '${JSON.stringify(given)}'`,
    );
    plugin(
      "after",
      `cat >"${node.folder}/$CNI_COMMAND.json"; [ "$CNI_COMMAND" != ADD ] || echo '${JSON.stringify(given)}'`,
    );
    const tool = openTool(lab, node, "chain", {
      cniVersion: "1.1.0",
      name: "chain",
      plugins: [{ type: "before" }, { type: "sluice" }, { type: "after" }],
    });
    expectDone(tool("add", pod));
    const seen = JSON.parse(readFileSync(join(node.folder, "ADD.json"), "utf8")) as {
      readonly prevResult: ShimResult;
    };
    assert.deepEqual(
      seen.prevResult.interfaces?.map(({ name }) => name.slice(0, 4)),
      ["net0", `${node.podLinks()[0]}`.slice(0, 4), "eth0"],
    );
    assert.deepEqual(
      seen.prevResult.ips?.map((ip) => ip.interface),
      [0, 2, 2],
    );
    expectDone(tool("del", pod));
  }));
