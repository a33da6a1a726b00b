/** Redirect targets that are there and those that are missing, by test runs; real ones are in redirect-wire.test.ts. */

import assert from "node:assert/strict";
import { after, it } from "node:test";
import { possibleCpus } from "../../datapath/index.js";
import type { RedirectTarget } from "../../operator/model/records.js";
import { policy, rule } from "../oracle/build.js";
import { eth, ipv4, ipv6, packet } from "../support/packets.js";
import { tcp, udp } from "../support/transports.js";
import { openUplink } from "./harness.js";
import { assertOutcome } from "./outcome.js";

const uplink = await openUplink();
after(() => uplink.close());

const REDIRECTED = { verdict: "redirect", reason: "rule", counted: ["edge/aside"] } as const;
const MISSING = { verdict: "drop", reason: "redirect", counted: ["edge/aside"] } as const;

async function apply(target: RedirectTarget, interfaces = ["eth0", "eth1"]): Promise<boolean> {
  const policies = [policy("edge", [rule("aside", { kind: "Redirect", target })])];
  return uplink.apply({ interfaces, policies });
}

function flow(sourcePort: number): Buffer {
  return packet(eth(), ipv4(), tcp({ sourcePort }));
}

it("an interface that exists takes the packet, one that does not drops it", async () => {
  await apply({ kind: "interface", name: "eth1" });
  assertOutcome(uplink.judge(flow(1)), REDIRECTED);
  assertOutcome(uplink.judge(packet(eth(), ipv6(), udp())), REDIRECTED);
  await apply({ kind: "interface", name: "nowhere" });
  assertOutcome(uplink.judge(flow(1)), MISSING);
});

it("an interface that comes or goes later is found and lost, though no rule changes", async () => {
  const target = { kind: "interface", name: "late0" } as const;
  await apply(target);
  assertOutcome(uplink.judge(flow(1)), MISSING);
  await apply(target, ["eth0", "eth1", "late0"]);
  assertOutcome(uplink.judge(flow(1)), REDIRECTED);
  await apply(target);
  assertOutcome(uplink.judge(flow(1)), MISSING);
});

it("each CPU of a list gets flows, and a flow keeps its CPU", async () => {
  const cpus = Array.from({ length: possibleCpus() }, (_, cpu) => cpu);
  await apply({ kind: "cpus", cpus });
  for (let port = 1; port <= 50; port++) assertOutcome(uplink.judge(flow(port)), REDIRECTED);
  // With a CPU that is missing in the list, a drop shows which flows fell on it.
  await apply({ kind: "cpus", cpus: [0, possibleCpus()] });
  const outcomes = Array.from({ length: 200 }, (_, port) => uplink.judge(flow(port + 1)).verdict);
  const dropped = outcomes.filter((verdict) => verdict === "drop").length;
  assert.ok(dropped > 60 && dropped < 140, `${dropped} of 200 flows on the second of two`);
  const again = outcomes.map((_, port) => uplink.judge(flow(port + 1)).verdict);
  assert.deepEqual(again, outcomes);
});

it("a CPU that this node lacks drops the packet, and does not keep other policies from acting", async () => {
  for (const cpu of [possibleCpus(), 255, 256, 4095]) {
    await apply({ kind: "cpus", cpus: [cpu] });
    assertOutcome(uplink.judge(flow(1)), MISSING, `CPU ${cpu}`);
  }
});

it("a socket map without a socket for the queue drops the packet", async () => {
  for (const name of ["capture", "other"]) {
    await apply({ kind: "socketMap", name });
    assertOutcome(uplink.judge(flow(1)), MISSING);
  }
});

it("rules of one target share it; different targets are told apart", async () => {
  const to = (name: string, number: number) =>
    rule(
      `${name}-${number}`,
      { kind: "Redirect", target: { kind: "interface", name } },
      { protocols: [{ kind: "tcp", destinationPort: { start: number, end: number } }] },
    );
  const rules = [to("eth1", 1), to("nowhere", 2), to("eth1", 3), to("eth0", 4)];
  await uplink.apply({ policies: [policy("edge", rules)] });
  const verdicts = [1, 2, 3, 4].map(
    (destinationPort) => uplink.judge(packet(eth(), ipv4(), tcp({ destinationPort }))).verdict,
  );
  assert.deepEqual(verdicts, ["redirect", "drop", "redirect", "redirect"]);
});
