import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, describe, it } from "node:test";
import { createFixtureEngine, type FixtureEngine } from "../../../test/agent/fixture-engine.js";
import { type CliRun, runSluicectl } from "../../../test/agent/run-cli.js";
import type {
  Located,
  PlaceQuery,
  PodReports,
  PodTraceQuery,
  PodTraceStep,
} from "../../api/engine.js";
import { type ApiServer, startApiServer } from "../../api/server.js";
import { SluiceError } from "../../errors.js";
import type { PodFacts } from "../../model/pod-facts.js";
import { decodePacket, describePacket } from "../packet-decode.js";
import type { Walk } from "./walk.js";

const folder = mkdtempSync(join(tmpdir(), "sluice-cli-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const pods: Readonly<Record<string, PodFacts>> = {
  "web/client": pod("client", "n1", ["10.244.1.5", "fd00::5"]),
  "web/server": {
    ...pod("server", "n1", ["10.244.1.6", "fd00::6"]),
    namedPorts: [
      { name: "http", protocol: "tcp", port: 8080 },
      { name: "dns", protocol: "udp", port: 53 },
      { name: "dns-tcp", protocol: "tcp", port: 53 },
    ],
  },
  "web/far": pod("far", "n2", ["10.244.2.7"]),
  "web/host": { ...pod("host", "n1", ["192.168.0.1"]), hostNetwork: true },
  "web/pending": { ...pod("pending", "n1", []) },
  "default/alone": pod("alone", "n1", ["10.244.1.9"]),
};

function pod(name: string, node: string, addresses: readonly string[]): PodFacts {
  const namespace = name === "alone" ? "default" : "web";
  return { namespace, name, node, addresses, namedPorts: [], hostNetwork: false };
}

const pass = {
  stages: [],
  matched: [],
  isClosed: false,
  delivery: "stack",
  verdict: "pass",
  reason: "no-rule",
} as const;

let server: ApiServer;
let asked: PodTraceQuery[] = [];
let answers: Partial<Record<PodTraceStep["direction"], Partial<PodTraceStep>>> = {};

const reports: Pick<PodReports, "locate" | "trace"> = {
  locate(query: PlaceQuery): Located {
    if (query.pod === undefined) {
      const own = Object.values(pods).find(({ addresses }) => addresses.includes(query.address));
      const place = own === undefined ? ({ kind: "outside" } as const) : undefined;
      return {
        node: "n1",
        place: place ?? { kind: "pod", pod: own! },
        isAttached: own?.node === "n1",
      };
    }
    const found = pods[query.pod];
    if (found === undefined) {
      throw new SluiceError("SLUICE_UNKNOWN_POD", `there is no pod ${query.pod}`, {
        remedy: "Did you mean web/server?",
      });
    }
    return { node: "n1", place: { kind: "pod", pod: found }, isAttached: found.node === "n1" };
  },
  async trace(query) {
    asked.push(query);
    const { direction, pod: name } = query;
    return { ...pass, direction, pod: name, node: "n1", ...answers[direction] };
  },
};

const serve = (engine: FixtureEngine) =>
  startApiServer({
    engine,
    socketPath: join(folder, "agent.sock"),
    log: { debug: () => {}, error: () => {} },
    logLevel: { get: () => "info", set: () => {} },
  });

beforeEach(async () => {
  asked = [];
  answers = {};
  process.env["SLUICE_SOCKET"] = join(folder, "agent.sock");
  server = await serve(createFixtureEngine({ pods: () => reports as PodReports }));
});
afterEach(() => server.close());

const trace = (words: string): Promise<CliRun> => runSluicectl(["trace", ...words.split(" ")]);
const packets = () =>
  asked.map(({ frame, direction }) => `${direction}: ${describePacket(decodePacket(frame))}`);

describe("a packet between pods", () => {
  it("is judged by the egress of one, then by the ingress of the other", async () => {
    answers = {
      egress: { delivery: "pod" },
      ingress: {
        verdict: "drop",
        reason: "rule",
        policy: "isolation",
        rule: "ingress: web/deny-all, web/allow",
        matched: [
          { policy: "isolation", rule: "ingress: web/deny-all, web/allow", effect: "drop" },
        ],
      },
    };
    const { out, code } = await trace("web/client web/server:80 --expect deny");
    assert.equal(code, 0);
    assert.deepEqual(
      asked.map(({ pod: name, direction, flow }) => [name, direction, flow]),
      [
        ["web/client", "egress", undefined],
        ["web/server", "ingress", undefined],
      ],
    );
    assert.deepEqual(packets(), [
      "egress: tcp 10.244.1.5:32768 > 10.244.1.6:80 SYN",
      "ingress: tcp 10.244.1.5:32768 > 10.244.1.6:80 SYN",
    ]);
    assert.match(out, /^egress +web\/client on n1: PASS reason no-rule$/m);
    assert.match(out, /^way +on n1, past its stack$/m);
    assert.match(out, /^ingress +web\/server on n1: DROP reason rule by isolation, ingress: web/m);
    assert.match(
      out,
      /note +the pod is isolated, and no rule of web\/deny-all, web\/allow accepts it/,
    );
    assert.match(out, /^DROP reason rule by isolation, ingress: web\/deny-all, web\/allow$/m);
  });

  for (const [words, packet] of [
    ["web/client web/server:http", "tcp 10.244.1.5:32768 > 10.244.1.6:8080 SYN"],
    ["web/client web/server:dns", "udp 10.244.1.5:32768 > 10.244.1.6:53"],
    ["udp web/client web/server:9 -6", "udp [fd00::5]:32768 > [fd00::6]:9"],
    ["sctp web/client:7 web/server:9", "sctp 10.244.1.5:7 > 10.244.1.6:9"],
    ["web/client web/server --protocol icmp", "icmp 10.244.1.5 > 10.244.1.6 type 8 code 0"],
    ["icmp web/client web/server -6", "icmpv6 fd00::5 > fd00::6 type 128 code 0"],
    ["web/client web/server --protocol 47", "gre 10.244.1.5 > 10.244.1.6"],
    ["pod/client pod/server:1 -n web", "tcp 10.244.1.5:32768 > 10.244.1.6:1 SYN"],
    ["pod/alone web/server:1", "tcp 10.244.1.9:32768 > 10.244.1.6:1 SYN"],
    ["web/client 10.244.1.6:80", "tcp 10.244.1.5:32768 > 10.244.1.6:80 SYN"],
    ["web/client [fd00::6]:80", "tcp [fd00::5]:32768 > [fd00::6]:80 SYN"],
    ["web/client web/server:80 --flags SYN,ACK", "tcp 10.244.1.5:32768 > 10.244.1.6:80 SYN,ACK"],
  ] as const) {
    it(words, async () => {
      const { err, code } = await trace(words);
      assert.equal(code, 0, err);
      assert.deepEqual(packets(), [`egress: ${packet}`, `ingress: ${packet}`]);
    });
  }

  it("is one document for programs", async () => {
    const rule = { reason: "rule", policy: "NetworkPolicy web/a", rule: "egress[0]" } as const;
    answers = { egress: rule };
    const { out } = await trace("web/client web/server:80 -o json");
    const walk = JSON.parse(out) as Walk & { readonly frame: string };
    assert.deepEqual(
      [walk.source.name, walk.destination.address, walk.destinationPort, walk.verdict],
      ["web/client", "10.244.1.6", 80, "pass"],
    );
    assert.deepEqual([walk.policy, walk.rule, walk.isComplete], [rule.policy, rule.rule, true]);
    assert.equal(walk.frame.length, 54 * 2);
  });
});

describe("an end that no policy judges", () => {
  it("outside: the other one is asked alone", async () => {
    const { out } = await trace("198.51.100.7 web/server:80");
    assert.deepEqual(packets(), ["ingress: tcp 198.51.100.7:32768 > 10.244.1.6:80 SYN"]);
    assert.match(out, /^egress +none: the source is outside the cluster$/m);
    const away = await trace("web/client 192.0.2.1:443 --expect allow");
    assert.equal(away.code, 0);
    assert.match(away.out, /^way +the stack of n1, to the outside$/m);
  });

  it("in its node's network", async () => {
    const { out } = await trace("web/host web/server:80");
    assert.deepEqual(packets(), ["ingress: tcp 192.168.0.1:32768 > 10.244.1.6:80 SYN"]);
    assert.match(out, /the source is in its node's own network/);
  });

  it("on another node is an open question, and no answer to --expect", async () => {
    const { out, code } = await trace("web/client web/far:80 --expect allow");
    assert.equal(code, 4);
    assert.match(out, /^ingress +not asked: the destination is on node n2: ask the agent there/m);
    assert.match(out, /^PASS SO FAR: one end was not asked$/m);
    answers = { egress: { verdict: "drop", reason: "rule", policy: "p", rule: "r" } };
    assert.equal((await trace("web/client web/far:80 --expect deny")).code, 0);
  });
});

describe("a flow", () => {
  const flow = {
    way: "forth",
    sourcePort: 40_123,
    ageSeconds: 12.5,
    idleSeconds: 1,
    lifetimeSeconds: 21_600,
    packetsForth: 5,
    packetsBack: 4,
    isCurrent: true,
    policy: "NetworkPolicy web/a",
    rule: "egress[0]",
  } as const;

  it("is the newest when no source port is given, and the same at both ends", async () => {
    answers = { egress: { reason: "flow", flow } };
    const { out } = await trace("web/client web/server:80 --flow");
    assert.deepEqual(
      asked.map((query) => query.flow),
      ["newest", "newest"],
    );
    assert.deepEqual(packets(), [
      "egress: tcp 10.244.1.5:32768 > 10.244.1.6:80 ACK",
      "ingress: tcp 10.244.1.5:40123 > 10.244.1.6:80 ACK",
    ]);
    assert.match(
      out,
      /from port 40123, the way it was opened, allowed by NetworkPolicy web\/a, egress\[0\]/,
    );
    assert.match(out, /opened 12.5 s ago, quiet for 1 s of 21600 s; 5 packets forth, 4 back/);
  });

  it("is the one of the source port", async () => {
    await trace("web/client:40000 web/server:80 --flow");
    assert.deepEqual(
      asked.map((query) => query.flow),
      ["exact", "exact"],
    );
  });
});

it("an agent without a pod network says so", async () => {
  await server.close();
  server = await serve(createFixtureEngine());
  const { code, err } = await trace("web/client web/server:80");
  assert.equal(code, 1);
  assert.match(err, /this agent has no pod network/);
});

it("a closed pod is told", async () => {
  answers = { ingress: { verdict: "drop", reason: "not-judged", isClosed: true } };
  const { out } = await trace("web/client web/server:80");
  assert.match(out, /the pod is closed: its policies are not compiled yet/);
});

for (const [words, says] of [
  ["web/client web/servr:80", /there is no pod web\/servr\n +Did you mean web\/server\?/],
  [
    "web/client web/server",
    /web\/server needs a port\n +Write .*it has http, dns, dns-tcp.*--protocol icmp/,
  ],
  [
    "udp web/client web/server:http",
    /web\/server has no udp port named http\n +Its ports: http \(tcp 8080\)/,
  ],
  ["web/client 192.0.2.1:http", /the port of 192.0.2.1:http is no number/],
  ["web/client web/far:80 -6", /web\/far has no address of IPv6/],
  ["web/client web/far:80 -4 -6", /-4 and -6 exclude each other/],
  ["web/client [2001:db8::1]:80 -4", /2001:db8::1 has no address of IPv4/],
  ["web/pending web/server:80", /the pod web\/pending has no address/],
  ["web/client web/server:0", /the port of the destination is 0/],
  ["web/client web/server:", /the port of the destination is empty/],
  ["web/client web/server:80 x", /the word x is one too many/],
  ["web/client", /it needs a source and a destination/],
  ["web/client nonsense:80", /nonsense:80 is neither a pod nor an IP address/],
  ["web/Client web/server:80", /the source web\/Client is no pod/],
  ["tcp web/client web/server:80 --protocol udp", /both tcp and --protocol udp/],
  ["web/client web/server:80 --protocol tpc", /--protocol is tpc/],
  ["web/client web/server:80 --interface eth0", /--interface does not go with pods/],
  ["web/host 192.0.2.1:80", /nothing judges this packet: web\/host is in its node's own network/],
  ["tcp 10.0.0.1:1 10.0.0.2:2 --flow", /--flow goes with pods only/],
] as const) {
  it(`is refused: ${words}`, async () => {
    const { err, out, code } = await trace(words);
    assert.ok(code === 2 || code === 1, `exit code ${code}`);
    assert.match(err, says);
    assert.equal(out, "");
    assert.deepEqual(asked, []);
  });
}
