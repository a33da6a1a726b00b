import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { withNetns } from "../../datapath/netns.js";
import { sum } from "../../operator/lab/measure.js";
import { attackKinds } from "../../operator/lab/messages.js";
import { type LabProcess, startProcess } from "../../operator/lab/processes.js";
import {
  createTopology,
  type LabHost,
  namespacesOf,
  planTopology,
  removeNamespaces,
} from "../../operator/lab/topology.js";
import { noAttack, startTraffic, type Traffic } from "../../operator/lab/traffic.js";

// Without agents there is nobody to attach pods.
const topology = { ...planTopology(`slt-${process.pid}`), pods: [] };
const logs = mkdtempSync(join(tmpdir(), "sluice-lab-traffic-"));
const processes: LabProcess[] = [];
let traffic: Traffic;

before(async () => {
  createTopology(topology);
  traffic = await startTraffic(topology, new Map(), (options) => {
    const logPath = join(logs, `${processes.length}.log`);
    const started = startProcess({ ...options, logPath });
    processes.push(started);
    return started;
  });
});

after(async () => {
  await Promise.all(processes.map((each) => each.stop()));
  assert.deepEqual(removeNamespaces(namespacesOf(topology)), []);
  rmSync(logs, { recursive: true });
});

/** A counter of the kernel for one host, from /proc/net/snmp. */
function counter(host: LabHost, protocol: string, name: string): number {
  const text = withNetns(host.namespacePath, () =>
    readFileSync("/proc/thread-self/net/snmp", "utf8"),
  );
  const [names, values] = text.split("\n").filter((line) => line.startsWith(`${protocol}:`));
  return Number(values?.split(" ")[names?.split(" ").indexOf(name) ?? -1]);
}

async function sendFor(milliseconds: number, rates: typeof noAttack): Promise<void> {
  traffic.setAttack(rates);
  await sleep(milliseconds);
  traffic.setAttack(noAttack);
  // Two reports later all that was sent has been reported.
  await sleep(500);
  while (!traffic.attack().idle) await sleep(20);
}

test("the client gets pages from all nodes over both families", async () => {
  for (let round = 0; round < 100 && !traffic.client().nodes.every(hasBoth); round++)
    await sleep(50);
  for (const { sent, succeeded, failed, lastFailure } of traffic.client().nodes) {
    assert.equal(failed, 0, lastFailure);
    assert.ok(succeeded >= 2, `${succeeded} of ${sent}`);
  }
});

function hasBoth({ succeeded }: { succeeded: number }): boolean {
  return succeeded >= 2;
}

test("each packet of a UDP flood reaches its node with a good checksum, or is reported lost", async () => {
  const counts = () =>
    topology.nodes.map(
      (node) => counter(node, "Udp", "NoPorts") + counter(node, "Udp", "InErrors"),
    );
  const before = { counts: counts(), ...traffic.attack() };
  await sendFor(300, { ...noAttack, udpFlood: 10_000 });
  const { sent, lost } = traffic.attack();
  const missing = counts().map((count, node) => {
    const arrived = count - (before.counts[node] ?? 0);
    assert.ok(arrived > 100, `${arrived} packets to node ${node}`);
    return (sent.udpFlood[node] ?? 0) - (before.sent.udpFlood[node] ?? 0) - arrived;
  });
  assert.equal(sum(missing), lost - before.lost);
  for (const node of topology.nodes) assert.equal(counter(node, "Udp", "InCsumErrors"), 0);
});

test("SYNs of the flood and the scan reach TCP with good checksums", async () => {
  const segments = () => topology.nodes.map((node) => counter(node, "Tcp", "InSegs"));
  const earlier = segments();
  await sendFor(300, { udpFlood: 0, synFlood: 2000, portScan: 300 });
  const { sent, lost } = traffic.attack();
  for (const [index, node] of topology.nodes.entries()) {
    const syns = (sent.synFlood[index] ?? 0) + (sent.portScan[index] ?? 0);
    assert.ok((sent.portScan[index] ?? 0) > 0 && syns > 100, `${syns} SYNs to ${node.name}`);
    assert.ok((segments()[index] ?? 0) - (earlier[index] ?? 0) >= syns - lost);
    assert.equal(counter(node, "Tcp", "InCsumErrors"), 0);
  }
});

test("a quiet attacker sends nothing", async () => {
  await sendFor(100, noAttack);
  const before = structuredClone(traffic.attack().sent);
  await sleep(500);
  for (const kind of attackKinds) assert.deepEqual(traffic.attack().sent[kind], before[kind]);
});
