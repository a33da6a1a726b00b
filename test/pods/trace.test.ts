/** Traces of pods' packets: what the programs would do, by the programs' own code, and nothing changed by it. */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it, test } from "node:test";
import type { PodDirection, PodTraceStep } from "../../operator/api/engine.js";
import { newestPort, readFlowEnds } from "../../operator/apply/flow-lookup.js";
import { LocalPodTable } from "../../operator/apply/local-pod-table.js";
import { PodObjects } from "../../operator/apply/pod-objects.js";
import { PodRoutes } from "../../operator/apply/pod-routes.js";
import { traceNow } from "../../operator/apply/pod-tracer.js";
import { parseCidr } from "../../operator/model/cidr.js";
import { namesOf } from "../policy-oracle/names.js";
import { generateCase } from "../policy-oracle/generate.js";
import { expectedOn } from "../policy-oracle/subject.js";
import { ipv4, type Layer, packet } from "../support/packets.js";
import { tcp } from "../support/transports.js";
import { openFixture } from "./fixture.js";
import { GATEWAY_MAC, type PodRule } from "./harness.js";
import { openPolicySubject } from "./policy-subject.js";

const CLUSTERS = 24;
const PACKETS = 40;

const subject = await openPolicySubject();
const f = await openFixture();
after(async () => {
  await subject.close();
  await f.close();
});

const local = new LocalPodTable(new PodObjects());
for (const name of ["a", "b", "c"]) addEntry(name);

/** As an agent that has attached the pod, and knows it by its runtime. */
function addEntry(name: string): void {
  const { index, slotOut, slotIn, mac, ipv4, ipv6 } = f.pods.pod(name);
  const pod = { namespace: "t", name, uid: undefined };
  const link = { hostName: name, mac, addresses: { ipv4, ipv6 }, pod };
  local.add(link, { index, slotOut, slotIn });
}

function trace(
  pod: string,
  direction: PodDirection,
  frame: Uint8Array,
  flow?: "exact",
): PodTraceStep {
  const { datapath, firewall, slots } = f.pods;
  const ownAddresses = [parseCidr("10.1.0.254"), parseCidr("fd00::fe")];
  const around = { nodeName: "n1", nodes: new Map(), local, ownAddresses };
  const tracing = { datapath, firewall, slots, rules: undefined, around, gatewayMac: GATEWAY_MAC };
  const query = { pod: `t/${pod}`, direction, frame, ...(flow && { flow }) };
  return f.node.enter(() => traceNow(tracing, query));
}

const outcome = ({ verdict, policy, rule }: PodTraceStep) => ({
  allowed: verdict === "pass",
  policy,
  /* A name that its policy has twice is marked with its place. */
  rule: rule?.replace(/ \((in|e)gress\[\d+\]\)$/, ""),
});

test("each end of a packet's way is what the oracle says, and what the packet then meets", async () => {
  const decided = new Map<string, number>();
  for (let index = 0; index < CLUSTERS; index++) {
    const { cluster, node, packets } = generateCase(11, index, PACKETS);
    await subject.load(cluster, node);
    const before = subject.marks();
    const traces = packets.map((packet) => subject.trace(packet));
    assert.deepEqual(subject.marks(), before, `traces of cluster ${index} left marks`);
    for (const [number, packet] of packets.entries()) {
      const about = `cluster ${index}: ${JSON.stringify(packet)}`;
      const { directions } = expectedOn(cluster, node, packet);
      const steps = traces[number]!;
      assert.deepEqual(
        steps.map(({ direction }) => direction),
        directions.map(([direction]) => direction),
        about,
      );
      for (const [at, [direction, verdict]] of directions.entries()) {
        const traced = outcome(steps[at]!);
        assert.equal(traced.allowed, verdict.allowed, about);
        const names = namesOf(direction, verdict);
        assert.ok(
          names.length === 0
            ? traced.policy === undefined || traced.policy === "node"
            : names.some(({ policy, rule }) => policy === traced.policy && rule === traced.rule),
          `${about}: ${direction} by ${traced.policy} ${traced.rule}`,
        );
        const key = `${direction} ${verdict.by} ${verdict.allowed ? "allows" : "denies"}`;
        decided.set(key, (decided.get(key) ?? 0) + 1);
      }
      const met = await subject.judge(packet);
      const refusing = steps.find(({ verdict }) => verdict !== "pass");
      assert.equal(met.allowed, refusing === undefined, about);
      if (refusing !== undefined) {
        const { policy, rule } = outcome(refusing);
        assert.deepEqual([met.policy, met.rule], [policy, rule], about);
      }
    }
  }
  for (const direction of ["ingress", "egress"]) {
    for (const by of ["Admin denies", "NetworkPolicy allows", "isolation denies"]) {
      const count = decided.get(`${direction} ${by}`) ?? 0;
      assert.ok(count > 5, `${direction} ${by}: ${count}`);
    }
  }
});

describe("a packet of a flow", () => {
  const web = [{ kind: "tcp", destinationPort: { start: 80, end: 80 } }] as const;
  const open: readonly PodRule[] = [
    { rule: "a to web", action: "Accept", egressOf: ["a"], protocols: web },
    { rule: "b takes web", action: "Accept", ingressOf: ["b"], protocols: web },
    { rule: "nothing else", action: "Drop", egressOf: ["a", "b"], ingressOf: ["a", "b"] },
  ];
  const syn = tcp({ flags: ["SYN"] });
  const ack = (port = 40000) => tcp({ sourcePort: port, flags: ["ACK"] });
  const answer = tcp({ sourcePort: 80, destinationPort: 40000, flags: ["ACK"] });

  before(() => f.pods.apply(open));
  beforeEach(() => f.pods.forget());

  for (const family of [4, 6] as const) {
    const send = (transport: Layer) => f.out("a", f.packetOf("a", "b", family, transport));
    const ask = (transport: Layer, flow?: "exact") => ({
      out: trace("a", "egress", f.packetOf("a", "b", family, transport), flow),
      in: trace("b", "ingress", f.packetOf("a", "b", family, transport), flow),
    });
    const askBack = (flow?: "exact") => ({
      out: trace("b", "egress", f.packetOf("b", "a", family, answer), flow),
      in: trace("a", "ingress", f.packetOf("b", "a", family, answer), flow),
    });

    it(`IPv${family}: passes by it at both ends, which name the rule that allowed it`, () => {
      send(syn);
      const { out, in: received } = ask(ack(), "exact");
      for (const [step, rule] of [
        [out, "a to web"],
        [received, "b takes web"],
      ] as const) {
        assert.deepEqual([step.verdict, step.reason, step.rule], ["pass", "flow", rule]);
        assert.deepEqual(
          [step.flow?.way, step.flow?.packetsForth, step.flow?.isCurrent, step.flow?.rule],
          ["forth", 1, true, rule],
        );
      }
      assert.equal(out.delivery, "pod");
      const back = askBack("exact");
      assert.deepEqual([back.out.reason, back.in.reason], ["flow", "flow"]);
      assert.deepEqual([back.out.flow?.way, back.out.flow?.rule], ["back", "b takes web"]);
    });

    it(`IPv${family}: as a new connection is judged by the rules, whatever is known`, () => {
      send(syn);
      const { out, in: received } = ask(ack());
      assert.deepEqual([out.reason, received.reason], ["rule", "rule"]);
      assert.equal(out.flow, undefined);
      const back = askBack();
      assert.deepEqual([back.out.verdict, back.out.rule], ["drop", "nothing else"]);
    });

    it(`IPv${family}: that is unknown, is another's or has ended is judged by the rules`, () => {
      assert.deepEqual(askBack("exact").out.verdict, "drop");
      send(syn);
      const other = ask(ack(40001), "exact").out;
      assert.deepEqual([other.reason, other.flow], ["rule", undefined]);
      f.pods.age(3600);
      const over = ask(ack(), "exact").out;
      assert.deepEqual([over.reason, over.flow], ["rule", undefined]);
    });
  }

  it("is judged anew after a change of the rules, and says so; nothing is deleted by asking", async () => {
    f.out("a", f.packetOf("a", "b", 4, syn));
    await f.pods.apply(open.slice(1));
    const step = trace("a", "egress", f.packetOf("a", "b", 4, ack()), "exact");
    assert.deepEqual(
      [step.verdict, step.rule, step.flow?.isCurrent],
      ["drop", "nothing else", false],
    );
    const reply = trace("a", "ingress", f.packetOf("b", "a", 4, answer), "exact");
    assert.deepEqual([reply.verdict, reply.rule], ["drop", "nothing else"]);
    assert.equal(f.pods.flows().length, 1);
    await f.pods.apply(open);
  });

  it("whose source port is not told is the one that was used last", async () => {
    for (const sourcePort of [40_001, 40_002, 40_003]) {
      f.out("a", f.packetOf("a", "b", 6, tcp({ sourcePort, flags: ["SYN"] })));
    }
    f.out("a", f.packetOf("a", "b", 6, ack(40_002)));
    const ends = readFlowEnds(f.packetOf("a", "b", 6, ack(9)));
    assert.ok(ends !== undefined);
    assert.equal(await newestPort(f.pods.datapath.flows, ends), 40_002);
    const others = readFlowEnds(f.packetOf("b", "a", 6, ack(9)));
    assert.equal(await newestPort(f.pods.datapath.flows, others!), undefined);
  });
});

describe("a trace says", () => {
  const frame = (from: string, to: string) => f.packetOf(from, to, 4, tcp());

  it("that a pod is closed while its policies are not compiled", async () => {
    await f.pods.apply([]);
    f.addPod("d");
    addEntry("d");
    const step = trace("d", "egress", frame("d", "a"));
    assert.deepEqual([step.verdict, step.reason, step.isClosed], ["drop", "not-judged", true]);
    await f.pods.apply([]);
    const open = trace("d", "egress", frame("d", "a"));
    assert.deepEqual([open.verdict, open.reason, open.isClosed], ["pass", "no-rule", false]);
  });

  it("that an address is not the pod's own", () => {
    assert.equal(trace("a", "egress", frame("b", "c")).reason, "spoofed");
  });

  it("that what the node itself sends is not judged", () => {
    const own = packet(f.eth("a"), ipv4({ source: "10.1.0.254", destination: "10.1.0.1" }), tcp());
    const step = trace("a", "ingress", own);
    assert.deepEqual([step.verdict, step.reason, step.isClosed], ["pass", "not-judged", false]);
  });

  it("whether a packet is handed over past the stack", () => {
    const away = packet(f.eth("a"), ipv4({ source: "10.1.0.1", destination: "192.0.2.1" }), tcp());
    assert.equal(trace("a", "egress", away).delivery, "stack");
    assert.equal(trace("a", "egress", frame("a", "b")).delivery, "pod");
    assert.equal(
      trace("a", "egress", f.packetOf("a", "b", 4, tcp(), { hops: 1 })).delivery,
      "stack",
    );
  });

  it("whether it leaves for another node by a route, past the stack", () => {
    const routes = new PodRoutes(f.pods.datapath.podRoutes);
    const far = packet(f.eth("a"), ipv4({ source: "10.1.0.1", destination: "10.1.2.9" }), tcp());
    f.node.run("ip", "link", "set", "uplink-peer", "up");
    f.node.run("ip", "link", "set", "uplink", "up");
    f.node.run("ip", "address", "add", "192.0.2.1/24", "dev", "uplink");
    f.node.run("ip", "route", "add", "10.1.2.0/24", "via", "192.0.2.2");
    f.node.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward");
    assert.equal(trace("a", "egress", far).delivery, "stack", "no range of another node");
    routes.set([{ cidr: "10.1.2.0/24", device: f.uplink, isTunnel: false }]);
    assert.equal(trace("a", "egress", far).delivery, "route");
    f.node.run("ip", "route", "delete", "10.1.2.0/24");
    assert.equal(trace("a", "egress", far).delivery, "stack", "no way there");
    routes.set([]);
  });

  it("which pods it can be asked about", () => {
    assert.throws(
      () => trace("nobody", "egress", frame("a", "b")),
      /SLUICE_UNKNOWN_POD|there is no pod t\/nobody/,
    );
  });
});
