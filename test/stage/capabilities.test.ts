import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { parse } from "yaml";
import { LinkType } from "../../datapath/index.js";
import { agentCapabilities } from "../../operator/health/capabilities.js";
import {
  createTestNode,
  echoes,
  startEcho,
  type TestNode,
  until,
  xdpProgram,
} from "../agent/agent-process.js";
import { objectPath } from "../support/objects.js";
import { type Lab, withNamespaces } from "../support/netns.js";
import { readPins, stillThere } from "./pinned.js";
import { repository, runStage, temporaryFolder, withCapabilities } from "./staged-tree.js";

const names = agentCapabilities.map(({ name }) => name);

/** Rules of all kinds that need something of the kernel: connections, events, limits, targets. */
const policy = `
apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: edge}
spec:
  priority: 100
  nodeSelector: {matchLabels: {role: edge}}
  defaultAction: Drop
  ingress:
  - {name: client, action: Drop, log: {oneIn: 1}, from: [{cidr: 10.9.0.2/32}]}
  - {name: cpus, action: Redirect, redirect: {cpus: [0]}, from: [{cidr: 10.9.0.3/32}]}
  - {name: wire, action: Redirect, redirect: {interface: eth0}, from: [{cidr: 10.9.0.4/32}]}
  - name: slow
    action: Limit
    from: [{cidr: 10.9.0.5/32}]
    rateLimit: {packetsPerSecond: 10, burst: 10, per: SourceAddress}
`;

let tree = "";
before(() => {
  tree = temporaryFolder();
  runStage(tree);
});

function nodeWith(lab: Lab, capabilities: readonly string[]): TestNode {
  return createTestNode(lab, () => withCapabilities(tree, capabilities));
}

test("the chart gives the listed capabilities and no other", () => {
  const text = readFileSync(join(repository, "charts/sluice/values.yaml"), "utf8");
  const { securityContext } = parse(text) as {
    readonly securityContext: {
      readonly runAsUser: number;
      readonly capabilities: { readonly drop: readonly string[]; readonly add: readonly string[] };
    };
  };
  assert.equal(securityContext.runAsUser, 0);
  assert.deepEqual(securityContext.capabilities.drop, ["ALL"]);
  assert.deepEqual(
    securityContext.capabilities.add.map((name) => `CAP_${name}`),
    names,
  );
});

const bits: Readonly<Record<string, bigint>> = {
  CAP_NET_ADMIN: 12n,
  CAP_PERFMON: 38n,
  CAP_BPF: 39n,
};

test("with exactly the listed capabilities an agent lives its whole life", async () => {
  await withNamespaces(async (lab) => {
    const node = nodeWith(lab, names);
    await startEcho(lab, node.node);
    assert.ok(echoes(node), "the wire does not work");
    node.write("edge.yaml", policy);

    const generic = node.start({ mode: "generic" });
    await generic.ready();
    const status = readFileSync(`/proc/${generic.pid}/status`, "utf8");
    const held = BigInt(`0x${/^CapBnd:\s*(\w+)$/m.exec(status)?.[1] ?? ""}`);
    assert.equal(
      held,
      names.reduce((mask, name) => mask | (1n << (bits[name] ?? 0n)), 0n),
    );
    assert.match(status, /^NoNewPrivs:\s*1$/m);
    assert.match(node.ctl("status").out, /eth0 +generic/);
    assert.equal(echoes(node), false);
    generic.signal("SIGTERM");
    assert.equal(await generic.exited, 0);
    assert.equal(node.ctl(...cleanup(node)).code, 0);
    assert.ok(echoes(node));

    const agent = node.start();
    await agent.ready();
    assert.match(node.ctl("status", "--check").out, /eth0 +native/);
    const pinned = readPins(node.pinRoot);
    // The default Drop needs the connections that the node opens, which tcx sees.
    assert.deepEqual(
      new Set(pinned.links.map(({ type }) => type)),
      new Set([LinkType.xdp, LinkType.tcx]),
    );
    assert.equal(echoes(node), false);
    const events = node.api.events()[Symbol.asyncIterator]();
    const first = events.next();
    const knocking = setInterval(() => echoes(node, 1, 20), 200);
    const line = await first.finally(() => clearInterval(knocking));
    assert.ok(line.done !== true && "event" in line.value && line.value.event.rule === "client");
    await events.return?.();
    const traced = node.ctl(..."trace udp 10.9.0.2:1234 10.9.0.1:9000 --expect drop".split(" "));
    assert.equal(traced.code, 0, traced.out);
    assert.equal(node.ctl("block", "10.9.0.9", "--for", "10m").code, 0);
    assert.match(node.ctl("doctor").out, /Sluice works here/);
    assert.doesNotMatch(agent.log(), /"level":"(warn|error|fatal)"/);

    agent.signal("SIGKILL");
    await agent.exited;
    assert.equal(echoes(node), false, "nothing judges packets");
    const next = node.start();
    await next.ready();
    assert.match(next.log(), /"adopted":true/);
    assert.doesNotMatch(next.log(), /"level":"(warn|error|fatal)"/);
    assert.equal(echoes(node), false);
    next.signal("SIGKILL");
    await next.exited;
    assert.equal(node.ctl(...cleanup(node)).code, 0);
    assert.equal(existsSync(node.pinRoot), false);
    assert.equal(xdpProgram(node), undefined);
    await until("links, programs and maps have gone", () => stillThere(pinned).length === 0);
    assert.ok(echoes(node));
  });
});

function cleanup(node: TestNode): readonly string[] {
  const state = join(node.folder, "state");
  return ["cleanup", "--pin-root", node.pinRoot, "--state-folder", state, "--yes"];
}

for (const { name } of agentCapabilities) {
  test(`without ${name} an agent does not start, and names it; so does doctor`, async () => {
    await withNamespaces(async (lab) => {
      const node = nodeWith(
        lab,
        names.filter((other) => other !== name),
      );
      const agent = node.start();
      assert.equal(await agent.exited, 1);
      assert.match(
        agent.log(),
        new RegExp(`"SLUICE_NO_CAPABILITY".*cannot load uplink: this process lacks ${name}"`),
      );
      const { code, out } = node.ctl("doctor");
      assert.notEqual(code, 0);
      assert.match(out, new RegExp(`rights +${name} +missing, for `));
    });
  });
}

test("a foreign program is told by its number, since its name is for CAP_SYS_ADMIN only", async () => {
  await withNamespaces(async (lab) => {
    const node = nodeWith(lab, names);
    const attach = [
      "link",
      "set",
      "dev",
      "eth0",
      "xdp",
      "object",
      objectPath("drop-tcp"),
      "section",
      "xdp",
    ];
    execFileSync("ip", ["-n", node.node.name, ...attach]);
    const foreign = xdpProgram(node);
    assert.ok(foreign);
    node.write("edge.yaml", policy);
    const agent = node.start();
    const says = new RegExp(
      `"SLUICE_XDP_FOREIGN_PROGRAM".*it already has native program id ${foreign} `,
    );
    await until("the agent tells of the foreign program", () => says.test(agent.log()));
    assert.equal(xdpProgram(node), foreign);
  });
});
