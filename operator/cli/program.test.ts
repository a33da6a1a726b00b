import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { parse, parseAllDocuments } from "yaml";
import {
  createFixtureEngine,
  event,
  type FixtureEngine,
  rules,
  status,
} from "../../test/agent/fixture-engine.js";
import { podNetwork, podRules } from "../../test/agent/fixture-pods.js";
import { type CliRunOptions, runSluicectl } from "../../test/agent/run-cli.js";
import type { Engine } from "../api/engine.js";
import type { LogLevel } from "../api/requests.js";
import { type ApiServer, startApiServer } from "../api/server.js";
import type { CheckReport } from "./check-report.js";
import type { DecodedPacket } from "./packet-decode.js";

let folder: string;
let socketPath: string;
let server: ApiServer | undefined;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-cli-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => {
  socketPath = join(folder, "agent.sock");
  process.env["SLUICE_SOCKET"] = socketPath;
});
afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function serve(overrides: Partial<Engine> = {}): Promise<FixtureEngine> {
  const engine = createFixtureEngine(overrides);
  let level: LogLevel = "info";
  server = await startApiServer({
    engine,
    socketPath,
    log: { debug: () => {}, error: () => {} },
    logLevel: {
      get: () => level,
      set: (next) => {
        level = next;
      },
    },
  });
  return engine;
}

/** The document that a command prints; its shape is what the test says. */
async function document<T>(words: string): Promise<T> {
  return JSON.parse((await run(words)).out) as T;
}

const run = (words: string, options: CliRunOptions = {}) => runSluicectl(words.split(" "), options);

test("help and version are no errors; help documents the exit codes", async () => {
  const help = await run("--help");
  assert.equal(help.code, 0);
  assert.match(help.out, /Exit codes:\n {2}0 {2}done/);
  for (const command of ["status", "rules", "policies", "trace", "doctor", "completion"]) {
    assert.equal((await run(`${command} --help`)).code, 0);
  }
  assert.match((await run("--version")).out, /^\d+\.\d+\.\d+\n$/);
});

for (const words of [
  "nonsense",
  "status --nonsense",
  "status -o xml",
  "block",
  "rules --interval 1",
]) {
  test(`sluicectl ${words} is a usage error`, async () => {
    const { code, err, out } = await run(words);
    assert.equal(code, 2);
    assert.equal(out, "");
    assert.match(err, /error:/);
  });
}

test("without an agent the exit code is 3 and the remedy is named", async () => {
  const { code, err, out } = await run("status");
  assert.equal(code, 3);
  assert.equal(out, "");
  assert.match(err, /cannot reach the agent at .*: there is no such socket\n +Start sluice-agent/);
  assert.match(err, /SLUICE_AGENT_UNREACHABLE/);
});

test("--socket wins over the environment", async () => {
  await serve();
  assert.equal((await run(`status --socket ${folder}/other.sock`)).code, 3);
});

test("what the agent refuses is error 1 with its own words", async () => {
  await serve();
  const { code, err } = await run("block 10.0.0.1/8");
  assert.equal(code, 1);
  assert.match(err, /10\.0\.0\.1\/8 has host bits\n +Write 10\.0\.0\.0\/8\n +SLUICE_CIDR/);
});

test("status shows interfaces, policies, tables and reasons", async () => {
  await serve();
  const { code, out } = await run("status");
  assert.equal(code, 0);
  assert.match(out, /Node +node1, in sync, generation 7/);
  assert.match(out, /eth0 +generic +1,234,567 +42 +0 +0 +the driver refuses native mode/);
  assert.match(out, /edge +100 +Enforce +2 +in force +eth0/);
  assert.match(out, /rules +4,000 +4,096 +97\.7 %/);
  assert.match(out, /rule +42 +2,520/);
  assert.match(out, /9 lost/);
});

test("status of an agent with a pod network has its summary, and what is wrong there", async () => {
  await serve({ status: () => ({ ...status, podNetwork }) });
  const { out } = await run("status");
  assert.match(out, /Pods\n30 attached, 1 closed; 4 policies, 17 rules, generation 12\n/);
  assert.match(out, /programs: 28 pods by tcx links, 2 by clsact filters\n/);
  assert.match(out, /10\.244\.1\.0\/24: 30 of 253 addresses in use/);
  assert.match(out, /fd00:244:1::\/64: 30 addresses in use/);
  assert.match(
    out,
    /routing vxlan \(sluice\.vxlan, MTU 1450\), 2 other nodes, 7 routes, MTU of pods 1450, masquerade\n/,
  );
  assert.match(out, /table rules: 4,090 of 4,096 entries in use/);
  assert.match(out, /flow +5,000 +400,000/);
  assert.match(out, /web\/server-2 closed: its policies are not in the kernel yet/);
});

test("rules --pods are those of pods", async () => {
  await serve();
  const { out } = await run("rules --pods");
  assert.match(out, /NetworkPolicy web\/allow-client +ingress\[0\] +Accept +12 .*tcp 80/);
  assert.doesNotMatch(out, /fail-safe/);
  assert.equal((await document<unknown[]>("rules --pods -o json")).length, podRules.length);
});

test("policies shows which are in force on which pods, with what they matched and dropped", async () => {
  await serve();
  const { out } = await run("policies");
  assert.match(out, /KIND +NAME +MODE +PODS +RULES +PACKETS +DROPPED +SINCE +STATE/);
  assert.match(
    out,
    /ClusterNetworkPolicy +baseline +Audit +1 +1 +3 +\(3\) +\d+d\d+h ago +Refused\n/,
  );
  assert.match(
    out,
    /NetworkPolicy +web\/allow-client +Enforce +2 +1 +12 +7 +before this agent +Enforcing\n/,
  );
  assert.match(out, /NetworkPolicy +web\/elsewhere +Enforce +0 +2 +0 +0 +- +Idle\n/);
  const wide = await run("policies --wide --in-namespace web");
  assert.doesNotMatch(wide.out, /baseline/);
  assert.match(wide.out, /TIER +GENERATION .*PLACES/);
  const all = await document<{ name: string; dropped: unknown }[]>("policies -o json");
  assert.deepEqual(
    all.map(({ name, dropped }) => [name, dropped]),
    [
      ["baseline", { packets: 3, bytes: 180 }],
      ["allow-client", { packets: 7, bytes: 420 }],
      ["elsewhere", { packets: 0, bytes: 0 }],
    ],
  );
});

test("policies NAME shows rules, pods and problems of one", async () => {
  await serve();
  const { out } = await run("policies web/allow-client");
  assert.match(
    out,
    /^NetworkPolicy web\/allow-client\nEnforcing, enforced where it acts, generation 1\n/,
  );
  assert.match(out, /12 packets matched, 7 dropped, counted before this agent\n/);
  assert.match(out, /isolation +ingress: web\/allow-client, web\/deny-all +Drop +7/);
  assert.match(out, /Pods \(2\)\nweb\/server-1\nweb\/server-2\n$/);
  const refused = await run("policies baseline");
  assert.match(refused.out, /tier Baseline 10, generation 2 \(1 in force\)/);
  assert.match(refused.out, /3 packets matched, 3 would be dropped/);
  assert.match(refused.out, /error {2}.*does not fit: too many rules/);
  const missing = await run("policies baseline nobody");
  assert.deepEqual([missing.code, missing.out], [1, ""]);
  assert.match(missing.err, /no policy of pods is named nobody/);
});

test("status --check tells health by its exit code", async () => {
  const problem = {
    severity: "error",
    code: "SLUICE_CIDR",
    origin: { source: "edge.yaml", line: 3 },
    kind: "XdpPolicy",
    name: "edge",
    message: "wrong",
    remedy: "Right it",
  } as const;
  await serve();
  assert.equal((await run("status --check")).code, 0);
  await server?.close();
  await serve({ status: () => ({ ...status, problems: [problem] }) });
  const { code, out } = await run("status --check");
  assert.equal(code, 4);
  assert.match(out, /error {2}edge\.yaml:3: XdpPolicy edge: wrong\. Right it\./);
});

test("control characters from manifests cannot reach the terminal", async () => {
  const problem = {
    severity: "warning",
    code: "SLUICE_X",
    origin: { source: "a\u001b[2J.yaml" },
    message: "bad \u0007 name\nerror  forged",
    remedy: "Rename it",
  } as const;
  await serve({ status: () => ({ ...status, problems: [problem] }) });
  const { out } = await run("status", { columns: 200, env: { NO_COLOR: "1" } });
  assert.match(out, /a\\x1b\[2J\.yaml: bad \\x07 name\\x0aerror {2}forged/);
  assert.ok(!out.includes("\u001b") && !out.includes("\u0007"));
});

test("rules come in order of judgement, with policy and rule first", async () => {
  await serve();
  const { out } = await run("rules");
  const lines = out.trimEnd().split("\n");
  assert.match(lines[0] ?? "", /^POLICY +RULE +ACTION +PACKETS +BYTES +ABOVE LIMIT +MATCH$/);
  assert.match(lines[1] ?? "", /^fail-safe +ssh +Accept +0 +0 B +tcp 22$/);
  assert.match(lines[2] ?? "", /^edge +bad +Drop \(audit\) +40 +4\.0 KiB +from set spamhaus$/);
  assert.match(lines[3] ?? "", /^edge +slow +Limit +100 +5\.9 KiB +30 +any packet$/);
});

test("rules are chosen by policy and by hits", async () => {
  await serve();
  assert.equal((await document<unknown[]>("rules --policy edge -o json")).length, 2);
  assert.equal((await document<unknown[]>("rules --hit -o json")).length, 2);
  assert.equal((await document<unknown[]>("rules --policy none -o json")).length, 0);
});

test("a very long condition is cut in tables, and whole in documents", async () => {
  const match = `from ${Array.from({ length: 200 }, (_, i) => `10.0.${i}.0/24`).join(", ")}`;
  await serve({ rules: () => rules.slice(0, 1).map((rule) => ({ ...rule, match })) });
  for (const line of (await run("rules")).out.split("\n")) assert.ok(line.length < 250);
  assert.match((await run("rules")).out, /…/);
  assert.equal((await document<typeof rules>("rules -o json"))[0]?.match, match);
});

test("rules --watch shows rates from the counters' differences", async () => {
  let packets = 0;
  await serve({
    rules: () => {
      packets += 100;
      return rules
        .slice(0, 1)
        .map((rule) => ({ ...rule, matched: { packets, bytes: packets * 60 } }));
    },
  });
  const ending = new AbortController();
  const { code, out } = await run("rules --watch --interval 100ms -o json", {
    signal: ending.signal,
    onOutput: (so) => {
      if (so.split("\n").length > 3) ending.abort();
    },
  });
  assert.equal(code, 0);
  const looks = out
    .trim()
    .split("\n")
    .map(
      (line) => (JSON.parse(line) as [{ packetsPerSecond?: number; bytesPerSecond?: number }])[0],
    );
  assert.equal(looks[0]?.packetsPerSecond, undefined);
  const rate = looks[1]?.packetsPerSecond ?? 0;
  assert.ok(rate > 0 && rate <= 1000, String(rate));
  assert.ok(Math.abs((looks[1]?.bytesPerSecond ?? 0) - rate * 60) < 1e-6);
});

test("on a terminal --watch redraws in place and outlives a restart of the agent", async () => {
  await serve();
  const ending = new AbortController();
  let restarted: Promise<unknown> | undefined;
  const { code, out } = await run("protocols --watch --interval 100ms", {
    columns: 120,
    signal: ending.signal,
    onOutput: (so) => {
      if (so.includes("PROTOCOL")) restarted ??= server?.close();
      if (so.includes("trying again")) ending.abort();
    },
  });
  await restarted;
  assert.equal(code, 0);
  assert.ok(out.includes("\u001b[H"));
  assert.match(out, /PROTOCOL/);
  assert.match(out, /cannot reach the agent.*trying again/);
});

test("outside a terminal --watch ends with 3 when the agent goes", async () => {
  await serve();
  let closing: Promise<unknown> | undefined;
  const { code } = await run("protocols --watch --interval 100ms", {
    onOutput: () => {
      closing ??= server?.close();
    },
  });
  await closing;
  assert.equal(code, 3);
});

test("protocols are listed by their packets", async () => {
  await serve();
  const names = (await run("protocols")).out
    .trimEnd()
    .split("\n")
    .slice(1)
    .map((line) => line.split(/ {2,}/)[0]);
  assert.deepEqual(names, ["UDP", "TCP", "not IP", "protocol 254", "protocol 253"]);
});

test("sets show who feeds and who uses them", async () => {
  await serve();
  assert.match((await run("sets")).out, /spamhaus +50,000 +12 +edge +spamhaus-1,spamhaus-2/);
});

test("block takes a duration, blocked lists, unblock says whether there was one", async () => {
  const engine = await serve();
  const blocked = await run("block 192.0.2.7 2001:db8::/32 --for 1h30m");
  assert.equal(blocked.code, 0);
  assert.match(blocked.out, /^blocked 192\.0\.2\.7 until 2026-01-01T00:10:00\.000Z\nblocked 2001:/);
  assert.deepEqual(engine.calls, [
    ["block", "192.0.2.7", 5_400_000],
    ["block", "2001:db8::/32", 5_400_000],
  ]);
  assert.match((await run("blocked")).out, /192\.0\.2\.7 +2026-01-01T00:10:00\.000Z/);
  assert.equal((await run("unblock 192.0.2.7")).code, 0);
  const again = await run("unblock 192.0.2.7");
  assert.equal(again.code, 4);
  assert.match(again.out, /was not blocked/);
  assert.equal((await run("block 192.0.2.7 --for soon")).code, 2);
});

test("confirm names the policy", async () => {
  const engine = await serve();
  assert.match((await run("confirm edge")).out, /confirmed edge: it stays in force/);
  assert.deepEqual(engine.calls, [["confirm", "edge"]]);
});

test("log-level shows and changes", async () => {
  await serve();
  assert.equal((await run("log-level")).out, "info\n");
  assert.equal((await run("log-level debug")).out, "debug\n");
  assert.equal((await run("log-level")).out, "debug\n");
  assert.equal((await run("log-level loud")).code, 2);
});

const frameStart = "02000000000202000000000108004500002800004000400626780a0000010a4d000b04d20050";

test("trace sends the packet described to the only interface, and prints the stages", async () => {
  const engine = await serve();
  const { code, out } = await run("trace tcp 10.0.0.1:1234 10.77.0.11:80 --flags SYN");
  assert.equal(code, 0);
  const lines = out.trimEnd().split("\n");
  assert.match(
    lines[0] ?? "",
    /^packet +tcp 10\.0\.0\.1:1234 > 10\.77\.0\.11:80 SYN, 54 bytes, on eth0$/,
  );
  assert.match(lines[1] ?? "", /^parse +IPv4 TCP, port 1234 to 80, flags SYN$/);
  assert.match(lines[2] ?? "", /^matched +edge\/bad: drop$/);
  assert.equal(lines[3], "DROP reason rule by edge/bad");
  const [[name, hex, where] = []] = engine.calls;
  assert.deepEqual([name, where], ["trace", "eth0"]);
  assert.equal(String(hex).slice(0, frameStart.length), frameStart);
});

test("trace --expect tells by its exit code", async () => {
  await serve();
  assert.equal((await run("trace tcp 10.0.0.1 10.0.0.2:80 --expect drop")).code, 0);
  assert.equal((await run("trace tcp 10.0.0.1 10.0.0.2:80 --expect pass")).code, 4);
});

test("trace takes a frame in hexadecimal and from a capture file", async () => {
  const engine = await serve();
  const frame = Buffer.from("ffffffffffff0200000000010806", "hex");
  const bytes = "ff:ff:ff:ff:ff:ff 02 00 00 00 00 01 0x0806";
  assert.equal((await runSluicectl(["trace", "-i", "eth1", "--hex", bytes])).code, 0);
  const header = Buffer.from("d4c3b2a1020004000000000000000000ffff000001000000", "hex");
  const record = Buffer.alloc(16);
  record.writeUInt32LE(frame.length, 8);
  record.writeUInt32LE(1500, 12);
  const path = join(folder, "one.pcap");
  writeFileSync(path, Buffer.concat([header, record, frame]));
  const { code, err } = await run(`trace --pcap ${path} -i eth1`);
  assert.equal(code, 0);
  assert.match(err, /holds 14 of the packet's 1500 bytes/);
  assert.deepEqual(engine.calls, [
    ["trace", frame.toString("hex"), "eth1"],
    ["trace", frame.toString("hex"), "eth1"],
  ]);
});

for (const [words, says] of [
  ["trace", /no packet is described/],
  ["trace tcp 10.0.0.1 10.0.0.2:80 --hex 00", /in one of these ways/],
  ["trace --hex 0", /no bytes in hexadecimal/],
  ["trace --hex 00 --flags SYN", /--flags goes with a packet in words only/],
  ["trace tcp 10.0.0.1 10.0.0.2:80 --packet 2", /--packet goes with --pcap/],
] as const) {
  test(`sluicectl ${words} is a usage error`, async () => {
    await serve();
    const { code, err } = await run(words);
    assert.equal(code, 2);
    assert.match(err, says);
  });
}

test("trace asks for the interface when there are several or none", async () => {
  const two = status.interfaces.flatMap((item) => [item, { ...item, name: "eth1" }]);
  await serve({ status: () => ({ ...status, interfaces: two }) });
  const several = await run("trace tcp 10.0.0.1 10.0.0.2:80");
  assert.equal(several.code, 2);
  assert.match(several.err, /one of eth0, eth1/);
  await server?.close();
  await serve({ status: () => ({ ...status, interfaces: [] }) });
  assert.match((await run("trace tcp 10.0.0.1 10.0.0.2:80")).err, /no interface is judged/);
});

test("events are decoded, filtered and counted", async () => {
  const engine = await serve();
  const sending = setInterval(() => {
    engine.emit(event);
    engine.emit({ ...event, rule: "other", audit: false });
  }, 5);
  try {
    const filters = "--policy ed* --rule bad --effect drop --audit --protocol tcp --port 80";
    const { code, out } = await run(`events --follow -n 2 ${filters} --source 10.0.0.0/8`);
    assert.equal(code, 0);
    const packet = "tcp 10.0.0.1:1234 > 10.77.0.11:80 SYN";
    const line = `12:34:56.123456  edge/bad  drop (audit)  eth0  ${packet}  length 54\n`;
    assert.equal(out, line + line);
    const told = await document<{ rule: string; packet: DecodedPacket }>(
      "events -n 1 --no-audit -o json",
    );
    assert.equal(told.rule, "other");
    assert.equal(told.packet.source, "10.0.0.1");
    assert.deepEqual(told.packet.tcpFlags, ["SYN"]);
    const yaml = (await run("events -n 2 -o yaml")).out;
    assert.equal(parseAllDocuments(yaml).length, 2);
    assert.match((await run("events -n 1 --bytes")).out, /\n {2}0000 {2}0200 0000 0002 0200/);
  } finally {
    clearInterval(sending);
  }
});

test("events end without an error on Ctrl-C, and with a note when the agent ends", async () => {
  const engine = await serve();
  const ending = new AbortController();
  const running = run("events", { signal: ending.signal });
  while (engine.listeners.size === 0) await new Promise((resolve) => setImmediate(resolve));
  ending.abort();
  assert.deepEqual(await running, { code: 0, out: "", err: "" });
  while (engine.listeners.size > 0) await new Promise((resolve) => setImmediate(resolve));
  const following = run("events");
  while (engine.listeners.size === 0) await new Promise((resolve) => setImmediate(resolve));
  await server?.close();
  assert.match((await following).err, /the stream ended: the agent ends/);
});

for (const option of ["--source 10.0.0.300", "--port 70000", "--protocol nope"]) {
  test(`events ${option} is refused before anything is asked`, async () => {
    const { code } = await run(`events ${option}`);
    assert.equal(code, 2);
  });
}

test("documents are the agent's answers, as JSON and YAML", async () => {
  await serve();
  assert.deepEqual(JSON.parse((await run("rules -o json")).out), rules);
  assert.deepEqual(parse((await run("rules -o yaml")).out), rules);
});

test("colours are for terminals without NO_COLOR", async () => {
  await serve();
  const isColoured = async (options: CliRunOptions) =>
    (await run("rules", options)).out.includes("\u001b[");
  assert.equal(await isColoured({ columns: 200 }), true);
  assert.equal(await isColoured({ columns: 200, env: { NO_COLOR: "1" } }), false);
  assert.equal(await isColoured({}), false);
});

test("on a narrow terminal the last column is cut to the width", async () => {
  const match = "from set ".repeat(30);
  await serve({ rules: () => rules.map((rule) => ({ ...rule, match })) });
  const { out } = await run("rules", { columns: 100, env: { NO_COLOR: "1" } });
  for (const line of out.split("\n")) assert.ok(line.length <= 100, line);
});

test("check prints what is wrong and the order of judgement, without an agent", async () => {
  const manifests = join(folder, "manifests");
  mkdirSync(manifests);
  writeFileSync(
    join(manifests, "edge.yaml"),
    `
apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: late}
spec: {priority: 200, defaultAction: Drop, mode: Audit, nodeSelector: {matchLabels: {role: edge}}}
---
apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: early}
spec:
  priority: 100
  ingress:
  - {name: web, action: Accept, protocols: [{tcp: {destinationPort: {number: 443}}}]}
  - {name: spam, action: Drop, from: [{cidrSet: spamhaus}]}
---
apiVersion: sluice.dev/v1alpha1
kind: XdpCidrSet
metadata: {name: spamhaus}
spec: {cidrs: [192.0.2.0/24]}
`,
  );
  const good = await run(`check -f ${manifests}`);
  assert.equal(good.code, 0);
  assert.match(good.out, /1 +early +web +Accept +\(uplinks\) +tcp 443/);
  assert.match(good.out, /2 +early +spam +Drop +\(uplinks\) +from set spamhaus/);
  assert.match(good.out, /4 +late +default +Drop \(audit\)/);
  assert.match(good.out, /1 file, 2 policies, 1 set, 0 errors, 0 warnings\n$/);
  const chosen = await document<CheckReport>(
    `check -f ${manifests} --node-labels role=core -o json`,
  );
  assert.deepEqual(
    chosen.rules.map((checked) => `${checked.policy}/${checked.rule}`),
    ["early/web", "early/spam", "early/default"],
  );
  writeFileSync(
    join(manifests, "wrong.yaml"),
    `
apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: wrong}
spec: {priority: 100, ingress: [{name: x, action: Drop, from: [{cidrSet: spamhous}]}]}
---
kind: [
`,
  );
  const wrong = await run(`check -f ${manifests}`);
  assert.equal(wrong.code, 4);
  assert.match(wrong.out, /error {2}.*wrong\.yaml/);
  writeFileSync(
    join(manifests, "wrong.yaml"),
    `
apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: wrong}
spec: {priority: 100, ingress: [{name: x, action: Drop, from: [{cidrSet: spamhous}]}]}
`,
  );
  const unknown = await run(`check -f ${manifests}`);
  assert.equal(unknown.code, 4);
  assert.match(
    unknown.out,
    /spec\.ingress\[0\]\.from\[0\]\.cidrSet: there is no set spamhous.*spamhaus/,
  );
  assert.match(unknown.out, /warning .* policy early has the priority 100, too, and comes first/);
  assert.equal((await run(`check -f ${manifests}/edge.yaml`)).code, 0);
  assert.equal((await run(`check -f ${manifests}/absent`)).code, 1);
});

test("check refuses more rules than a node holds, by the policy's name", async () => {
  const path = join(folder, "many.yaml");
  const policy = (name: string, priority: number) => {
    const list = Array.from({ length: 1000 }, (_, i) => `  - {name: r${i}, action: Drop}`);
    return `apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: ${name}}
spec:
  priority: ${priority}
  ingress:
${list.join("\n")}
`;
  };
  writeFileSync(path, ["a", "b", "c", "d", "e"].map((name, i) => policy(name, i)).join("---\n"));
  const { code, out } = await run(`check -f ${path} -o json`);
  assert.equal(code, 4);
  const [problem] = (JSON.parse(out) as CheckReport).problems;
  assert.equal(problem?.code, "SLUICE_CAPACITY");
  assert.equal(problem?.name, "e");
});

test("bash completes commands, options and choices", async () => {
  const script = join(folder, "completion.bash");
  writeFileSync(script, (await run("completion bash")).out);
  const complete = (...words: readonly string[]) =>
    execFileSync(
      "bash",
      [
        "-c",
        `source "$1"; shift; COMP_WORDS=(sluicectl "$@"); COMP_CWORD=$#; _sluicectl; echo "\${COMPREPLY[@]}"`,
        "bash",
        script,
        ...words,
      ],
      { encoding: "utf8" },
    )
      .trim()
      .split(" ");
  assert.deepEqual(complete("blo"), ["block", "blocked"]);
  assert.deepEqual(complete("rules", "--wa"), ["--watch"]);
  assert.deepEqual(complete("rules", "-o", "y"), ["yaml"]);
  assert.deepEqual(complete("log-level", "de"), ["debug"]);
  assert.deepEqual(complete("completion", "z"), ["zsh"]);
});

for (const shell of ["zsh", "fish"]) {
  test(`the ${shell} completion names every command and its options`, async () => {
    const { code, out } = await run(`completion ${shell}`);
    assert.equal(code, 0);
    for (const word of ["status", "rules", "trace", "cleanup", "completion"])
      assert.match(out, new RegExp(word));
    assert.match(out, shell === "fish" ? /-l watch/ : /--watch\[/);
  });
}
