import { startBenchCluster } from "./bench-cluster.js";
import { populate } from "./populate.js";
import { sizeOf } from "./objects.js";
import * as rounds from "./rounds.js";
import { measureAgent } from "./agent.js";
import { execFileSync } from "node:child_process";
import { percentile } from "../result.js";
const services = Number(process.argv[2] ?? 1000);
execFileSync("ip", ["link", "set", "lo", "up"]);
const t0 = performance.now();
const bench = await startBenchCluster();
console.log("cluster", performance.now() - t0);
await populate(bench.cluster.rest, sizeOf(services), (text) => console.log(text, performance.now() - t0));
for (const which of (process.argv[3] ?? "sluice,informer,empty").split(",")) {
  if (which === "agent") {
    const f = await measureAgent(bench, { changes: { count: services / 5, perSecond: 200 }, patches: 30, applies: 10 }, console.log);
    const p = (v: readonly number[]) => [percentile(v, 0.5), percentile(v, 0.99)];
    console.log(JSON.stringify({ sync: f.sync, settled: f.settled, collected: f.collected, cpu: f.changes.cpuMs, stall: f.changes.stallMs, d: p(f.changes.delaysMs), ps: p(f.patched.fromStartMs), pe: p(f.patched.fromEndMs), as: p(f.applied.fromStartMs), ae: p(f.applied.fromEndMs) }));
    continue;
  }
  const peer = (rounds as unknown as Record<string, rounds.Peer>)[which]!;
  const flags = (process.argv[4] ?? "").split(" ").filter(Boolean);
  const f = await rounds.measurePeer(bench, { ...peer, nodeFlags: flags }, { count: services / 5, perSecond: 200 });
  const { delaysMs, ...c } = f.changes;
  console.log(peer.name, JSON.stringify({ ...f, changes: { ...c, n: delaysMs.length, p50: percentile(delaysMs, 0.5), p99: percentile(delaysMs, 0.99) } }));
}
await bench.cluster.close();
