import assert from "node:assert/strict";
import { test } from "node:test";
import type { RuleState } from "../api/engine.js";
import type { LabSample, NodeSample, RuleRate } from "./sampler.js";
import { formatShare, paintLine, plainLines, renderView } from "./view.js";

const none = { packets: 0, bytes: 0 };

function rate(
  policy: string,
  rule: string,
  action: RuleState["action"],
  matched: number,
  rest: { exceeded?: number; mode?: RuleState["mode"]; priority?: number } = {},
): RuleRate {
  const { exceeded = 0, mode = "Enforce", priority = 100 } = rest;
  return {
    state: {
      policy,
      rule,
      action,
      mode,
      priority,
      interfaces: ["eth0"],
      match: "",
      matched: none,
      exceeded: none,
    },
    matched,
    exceeded,
  };
}

function node(name: string, rules: readonly RuleRate[]): NodeSample {
  return {
    name,
    agent: {
      mode: "native",
      verdicts: { pass: 142.4, drop: 16_713, redirect: 0, aborted: 0 },
      rules,
    },
    requestsPerSecond: 20,
    successRate: 1,
  };
}

const recorded: LabSample = {
  seconds: 83.2,
  nodes: [
    node("node1", [
      rate("edge", "bogons", "Drop", 0),
      rate("edge", "floods", "Drop", 10_013),
      rate("edge", "new-connections", "Limit", 6_700, { exceeded: 6_600 }),
      rate("watch", "telnet", "Drop", 3, { mode: "Audit", priority: 200 }),
    ]),
    node("node2", [rate("edge", "floods", "Drop", 9_987)]),
    { name: "node3", requestsPerSecond: 19, successRate: 0.9996 },
  ],
  pods: [
    {
      name: "guest/visitor",
      node: "node1",
      targets: [
        { name: "web-1", successRate: 0 },
        { name: "node3", successRate: undefined },
      ],
    },
  ],
  attack: { udpFlood: 29_998, synFlood: 20_003, portScan: 300 },
  problems: [{ severity: "error", text: "edge.yaml:7: no such field", nodes: ["node1", "node2"] }],
};

function text(
  sample: LabSample,
  { width = 100, height = 40, hints = [] as readonly string[] } = {},
): readonly string[] {
  const lines = renderView(sample, { width, height, hints, events: [] });
  return lines.map((line) => paintLine(line, width, (_style, piece) => piece));
}

test("each node has a line with mode, verdicts per second and share of answered requests", () => {
  const line = text(recorded).find((each) => each.startsWith(" node1"));
  assert.match(line ?? "", /native +142 +16,713 +0 +100\.0 % answered +20\/s/);
});

test("a node whose agent does not answer keeps its line, without verdicts", () => {
  const line = text(recorded).find((each) => each.startsWith(" node3"));
  assert.match(line ?? "", /no agent +– +– +– +99\.9 % answered/);
});

test("each pod that asks has a line with what it gets", () => {
  const line = text(recorded).find((each) => each.startsWith(" pod "));
  assert.equal(line, " pod guest/visitor   node1  asks   web-1 0.0 %  node3 –");
});

test("rules stand in order of judgement, with a column for each node", () => {
  const rules = text(recorded).filter((line) => /^ (edge|watch)\//.test(line));
  assert.deepEqual(
    rules.map((line) => line.trim().split(/ {2,}/)),
    [
      ["edge/bogons", "Drop", "0", "–", "–"],
      ["edge/floods", "Drop", "10,013", "9,987", "–"],
      ["edge/new-connections", "Limit", "6,700", "–", "–"],
      ["watch/telnet", "Drop (audit)", "3", "–", "–"],
    ],
  );
});

test("what a limit drops has its own line under the limit", () => {
  const lines = text(recorded);
  const limit = lines.findIndex((line) => line.includes("edge/new-connections"));
  assert.match(lines[limit + 1] ?? "", /above the rate +Drop +6,600/);
});

test("problems of the folder are shown with the nodes that report them", () => {
  assert.ok(text(recorded).includes(" error         edge.yaml:7: no such field (node1, node2)"));
});

test("a long problem goes on in the next lines, and one that all nodes report says so", () => {
  const problems = [
    {
      severity: "warning" as const,
      text: "long ".repeat(16).trim(),
      nodes: ["node1", "node2", "node3"],
    },
  ];
  const lines = text({ ...recorded, problems }, { width: 70 });
  const first = lines.findIndex((line) => line.startsWith(" warning"));
  assert.match(lines[first] ?? "", /^ warning {7}(long ?)+$/);
  assert.match(lines[first + 1] ?? "", /^ {15}(long )+\(all nodes\)$/);
});

test("on a low terminal the busiest rules stay, and nothing exceeds the height", () => {
  const hints = ["edit a file", "run a command"];
  const lines = text(recorded, { height: 16, hints });
  assert.ok(lines.length <= 16);
  assert.ok(lines.some((line) => line.includes("edge/floods")));
  assert.ok(lines.some((line) => /^ and \d rules? with less/.test(line)));
  assert.ok(!lines.some((line) => line.includes("edge/bogons")));
  assert.ok(!lines.some((line) => line.includes("edit a file")));
  for (let height = 1; height < 40; height++) {
    assert.ok(text(recorded, { height, hints }).length <= height, `at height ${height}`);
  }
});

test("hints that are too long go on in the next line", () => {
  const hints = ["node main.js --socket /run/sluice-lab/1/node1.sock rules --watch"];
  assert.deepEqual(text(recorded, { width: 60, hints }).slice(-2), [
    " node main.js --socket /run/sluice-lab/1/node1.sock rules",
    " --watch",
  ]);
});

test("on a narrow terminal lines are cut with an ellipsis", () => {
  for (const line of text(recorded, { width: 40 })) assert.ok(line.length <= 40, line);
  assert.ok(text(recorded, { width: 40 }).some((line) => line.endsWith("…")));
});

test("without a terminal each node, each pod that asks and each problem is one plain line", () => {
  assert.deepEqual(plainLines(recorded), [
    "83s node1: native, pass 142/s, drop 16,713/s, 100.0 % of requests answered (20/s); " +
      "edge/floods Drop 10,013/s; edge/new-connections Limit 6,700/s; watch/telnet Drop (audit) 3/s",
    "83s node2: native, pass 142/s, drop 16,713/s, 100.0 % of requests answered (20/s); " +
      "edge/floods Drop 9,987/s",
    "83s node3: no agent, 99.9 % of requests answered (19/s)",
    "83s pod guest/visitor on node1 asks web-1 0.0 %, node3 no answer yet",
    "83s error: edge.yaml:7: no such field (node1, node2)",
  ]);
});

test("a share below one is never shown as 100 %", () => {
  assert.equal(formatShare(0.99999), "99.9 %");
  assert.equal(formatShare(1), "100.0 %");
});
