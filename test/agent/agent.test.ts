import assert from "node:assert/strict";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { RuleState } from "../../operator/api/engine.js";
import { type Lab, withNamespaces } from "../support/netns.js";
import {
  clientAddress,
  createTestNode,
  echoes,
  startEcho,
  type TestNode,
  until,
  xdpProgram,
} from "./agent-process.js";

const policy = (action: string, more = "") => `
apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: edge}
spec:
  priority: 100
  nodeSelector: {matchLabels: {role: edge}}
  ingress:
  - name: client
    action: ${action}
    from: [{cidr: ${clientAddress}/32}]
    protocols: [{udp: {destinationPort: {number: 9000}}}]
    log: {oneIn: 1}
${more}`;

/** A node on which an agent enforces what it is given. */
async function running(lab: Lab, text: string) {
  const node = createTestNode(lab);
  await startEcho(lab, node.node);
  assert.ok(echoes(node), "the wire does not work");
  node.write("edge.yaml", text);
  const agent = node.start();
  await agent.ready();
  return { node, agent };
}

async function ruleOf({ api }: TestNode, name: string): Promise<RuleState> {
  const found = (await api.call("rules")).find(({ rule }) => rule === name);
  assert.ok(found, `no rule ${name}`);
  return found;
}

test("what the folder says is done to real packets, and can be seen from all sides", async () => {
  await withNamespaces(async (lab) => {
    const { node, agent } = await running(lab, policy("Drop"));
    assert.equal(statSync(node.socketPath).mode & 0o777, 0o600);
    assert.equal(echoes(node), false);
    const rule = await ruleOf(node, "client");
    assert.ok(rule.matched.packets >= 3, String(rule.matched.packets));

    assert.match(node.ctl("status", "--check").out, /eth0 +native/);
    assert.match(node.ctl("rules", "--policy", "edge").out, /edge +client +Drop +[3-9]/);
    assert.match(node.ctl("protocols").out, /UDP/);
    const words = `trace udp ${clientAddress}:1234 10.9.0.1:9000 --expect drop`;
    const traced = node.ctl(...words.split(" "));
    assert.equal(traced.code, 0, traced.out);
    assert.match(traced.out, /DROP reason rule by edge\/client/);
    const other = node.ctl("trace", "udp", "10.9.0.3:1", "10.9.0.1:9000", "-o", "json");
    const { verdict, reason } = JSON.parse(other.out) as { verdict: string; reason: string };
    assert.deepEqual([verdict, reason], ["pass", "no-rule"]);
    const after = await ruleOf(node, "client");
    assert.equal(after.matched.packets, rule.matched.packets, "a trace was counted");

    const metrics = node.node.run(
      process.execPath,
      "-e",
      'fetch("http://127.0.0.1:9977/metrics").then(async (r) => console.log(await r.text()))',
    );
    const counted = /^sluice_rule_packets_total\{policy="edge",rule="client"\} (\d+)$/m.exec(
      metrics,
    );
    assert.equal(counted?.[1], String(rule.matched.packets));
    const health = node.node.run(
      process.execPath,
      "-e",
      'fetch("http://127.0.0.1:9977/readyz").then((r) => console.log(r.status))',
    );
    assert.equal(health.trim(), "200");

    const events = node.api.events()[Symbol.asyncIterator]();
    const first = events.next();
    // The stream may not be open yet when the first packets come.
    const knocking = setInterval(() => echoes(node, 1, 20), 200);
    const line = await first.finally(() => clearInterval(knocking));
    assert.ok(line.done !== true && "event" in line.value);
    assert.equal(line.value.event.rule, "client");
    assert.equal(line.value.event.effect, "drop");
    assert.equal(Buffer.from(line.value.event.bytes, "base64").readUInt16BE(36), 9000);
    await events.return?.();

    node.write("edge.yaml", policy("Pass"));
    await until("the edited policy is in force", () => echoes(node, 1));
    agent.signal("SIGTERM");
    assert.equal(await agent.exited, 0);
  });
});

test("an address is blocked when block returns, until its time is over", async () => {
  await withNamespaces(async (lab) => {
    const { node, agent } = await running(lab, policy("Pass"));
    assert.ok(echoes(node));
    assert.equal(node.ctl("block", clientAddress, "--for", "10m").code, 0);
    assert.equal(echoes(node, 2), false);
    assert.match(node.ctl("blocked").out, new RegExp(`${clientAddress}/32`));
    agent.signal("SIGKILL");
    await agent.exited;
    assert.equal(echoes(node, 2), false, "the block ended with the agent");
    await node.start().ready();
    assert.equal(echoes(node, 2), false, "the block ended with the restart");
    assert.equal(node.ctl("unblock", clientAddress).code, 0);
    assert.ok(echoes(node));
    assert.equal(node.ctl("unblock", clientAddress).code, 4);
    await node.api.call("block", { cidr: clientAddress, forMs: 300 });
    await until("the block has ended by itself", () => echoes(node, 1));
  });
});

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  test(`after ${signal} packets are judged on, and a new agent takes over with all counters`, async () => {
    await withNamespaces(async (lab) => {
      const { node, agent } = await running(lab, policy("Drop"));
      assert.equal(echoes(node), false);
      const before = (await ruleOf(node, "client")).matched.packets;
      assert.ok(xdpProgram(node));
      agent.signal(signal);
      assert.equal(await agent.exited, signal === "SIGTERM" ? 0 : "SIGKILL");
      assert.equal(existsSync(node.socketPath), signal === "SIGKILL");
      assert.equal(echoes(node), false, "nothing judges packets");
      assert.equal(node.ctl("status").code, 3);
      const next = node.start();
      await next.ready();
      assert.equal(statSync(node.socketPath).mode & 0o777, 0o600);
      assert.equal(echoes(node), false);
      assert.ok(xdpProgram(node));
      const { matched } = await ruleOf(node, "client");
      // Also those of the time without an agent.
      assert.ok(matched.packets >= before + 6, `${before} then ${matched.packets}`);
    });
  });
}

test("a second agent is refused whatever it shares with the first, which goes on", async () => {
  await withNamespaces(async (lab) => {
    const { node } = await running(lab, policy("Drop"));
    const own = {
      "pin-root": lab.pinFolder(),
      "state-folder": join(node.folder, "state2"),
      socket: join(node.folder, "state2", "agent.sock"),
      "metrics-address": "none",
    };
    const shared: readonly (readonly [
      what: string,
      options: Readonly<Record<string, string>>,
      says: RegExp,
    ])[] = [
      [
        "pin root",
        { ...own, "pin-root": node.pinRoot },
        /its own --pin-root .*another agent runs on/,
      ],
      [
        "state folder",
        { ...own, "state-folder": join(node.folder, "state") },
        /its own --state-folder .*another agent runs on/,
      ],
      ["socket", { ...own, socket: node.socketPath }, /another agent answers there/],
      [
        "metrics address",
        { ...own, "metrics-address": "127.0.0.1:9977" },
        /another program listens/,
      ],
    ];
    for (const [what, options, says] of shared) {
      const second = node.start(options);
      assert.equal(await second.exited, 1, what);
      assert.match(second.log().replaceAll(/","/g, " "), says, what);
    }
    assert.equal((await node.api.call("status")).inSync, true);
    assert.equal(echoes(node), false);
  });
});

test("signals and sluicectl change the log level of a running agent", async () => {
  await withNamespaces(async (lab) => {
    const node = createTestNode(lab);
    const agent = node.start();
    await agent.ready();
    const level = async () => (await node.api.call("status")).logLevel;
    agent.signal("SIGUSR1");
    await until("SIGUSR1 has acted", async () => (await level()) === "debug");
    await until("requests are logged", () => /"component":"api".*"request"/.test(agent.log()));
    agent.signal("SIGUSR2");
    await until("SIGUSR2 has acted", async () => (await level()) === "info");
    assert.equal(node.ctl("log-level", "error").out, "error\n");
    assert.doesNotMatch(agent.log(), /Debugger listening/);
  });
});

test("a broken file is told by its line in log and status, and what was in force stays", async () => {
  await withNamespaces(async (lab) => {
    const { node, agent } = await running(lab, policy("Drop"));
    node.write("edge.yaml", policy("Drop").replace("/32", "/24"));
    await until(
      "the problem is told",
      async () => (await node.api.call("status")).problems.length > 0,
    );
    const { out, code } = node.ctl("status", "--check");
    assert.equal(code, 4);
    assert.match(
      out,
      /error .*edge\.yaml:\d+: XdpPolicy edge: spec\.ingress\[0\]\.from\[0\]\.cidr: .*host bits/,
    );
    assert.match(agent.log(), /"code":"SLUICE_CIDR".*host bits/);
    assert.equal(echoes(node), false);
    node.write("edge.yaml", policy("Drop"));
    await until(
      "the problem has gone",
      async () => (await node.api.call("status")).problems.length === 0,
    );
    assert.match(agent.log(), /put right: /);
  });
});

test("a policy with confirmWithin goes unless it is confirmed", async () => {
  await withNamespaces(async (lab) => {
    const { node } = await running(lab, policy("Drop", "  confirmWithin: 1s\n"));
    await until("the policy is rolled back", () => echoes(node, 1));
    assert.match(node.ctl("status").out, /edge .*rolled back/);
    node.write("edge.yaml", policy("Drop", "  confirmWithin: 1h\n"));
    await until("the new version is in force", () => !echoes(node, 1));
    assert.match(node.ctl("status").out, /rolls back in (59|60|1h)/);
    assert.equal(node.ctl("confirm", "edge").code, 0);
    assert.doesNotMatch(node.ctl("status").out, /rolls back/);
    const again = node.ctl("confirm", "edge");
    assert.equal(again.code, 1);
    assert.match(again.out, /SLUICE_NOTHING_TO_CONFIRM/);
  });
});

test("cleanup waits for the end of the agent, and then takes everything off the node", async () => {
  await withNamespaces(async (lab) => {
    const { node, agent } = await running(lab, policy("Drop"));
    const paths = ["--pin-root", node.pinRoot, "--state-folder", join(node.folder, "state")];
    const early = node.ctl("cleanup", ...paths, "--yes");
    assert.equal(early.code, 1);
    assert.match(early.out, /an agent runs on/);
    assert.equal(echoes(node), false);
    agent.signal("SIGKILL");
    await agent.exited;
    const unasked = node.ctl("cleanup", ...paths);
    assert.equal(unasked.code, 1);
    assert.match(unasked.out, /Give --yes/);
    assert.ok(readdirSync(node.pinRoot).length > 0);
    const { code, out } = node.ctl("cleanup", ...paths, "--yes");
    assert.equal(code, 0, out);
    assert.equal(existsSync(node.pinRoot), false);
    assert.equal(existsSync(join(node.folder, "state")), false);
    assert.equal(xdpProgram(node), undefined);
    assert.ok(echoes(node));
    assert.match(node.ctl("cleanup", ...paths, "--yes").out, /nothing to remove/);
  });
});

const refusedStarts: readonly (readonly [
  what: string,
  options: Readonly<Record<string, string>>,
  status: number,
  says: RegExp,
])[] = [
  ["a folder that is not there", { manifests: "/nonexistent" }, 1, /SLUICE_FOLDER_UNREADABLE/],
  ["a pin root outside a bpffs", { "pin-root": "/tmp/slt-no-bpffs" }, 1, /SLUICE_NO_BPFFS/],
  ["a config file that is not there", { config: "/nonexistent" }, 2, /SLUICE_CONFIG/],
  ["an unknown mode", { mode: "turbo" }, 2, /Allowed choices are native, generic, offload/],
];

for (const [what, options, status, says] of refusedStarts) {
  test(`an agent with ${what} does not start, and says why`, async () => {
    await withNamespaces(async (lab) => {
      const agent = createTestNode(lab).start(options);
      assert.equal(await agent.exited, status);
      assert.match(agent.log(), says);
    });
  });
}

test("doctor sees the interfaces of its namespace, with driver and queues", async () => {
  await withNamespaces((lab) => {
    const node = createTestNode(lab);
    const { code, out } = node.ctl("doctor", "--all-interfaces", "-o", "json");
    assert.equal(code, 0, out);
    const { nics, findings } = JSON.parse(out) as {
      nics: { name: string; driver: string; rxQueues: number; isUp: boolean }[];
      findings: { name: string; grade: string }[];
    };
    const [nic] = nics;
    assert.deepEqual(
      nics.map(({ name }) => name),
      ["eth0"],
    );
    assert.equal(nic?.driver, "veth");
    assert.equal(nic?.rxQueues, 1);
    assert.equal(nic?.isUp, true);
    assert.equal(findings.find(({ name }) => name === "program type xdp")?.grade, "ok");
    assert.match(node.ctl("doctor", "-a", "-v").out, /eth0 +veth +up +1500/);
  });
});
