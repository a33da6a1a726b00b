/** Sluice as a client of a real API server: docs/bench.md, "Against an API server". */
import { execFileSync } from "node:child_process";
import { runPart } from "../part.js";
import type { PartResult } from "../result.js";
import { measureAgent } from "./agent.js";
import { startBenchCluster } from "./bench-cluster.js";
import { type Size, sizeOf } from "./objects.js";
import { populate } from "./populate.js";
import { empty, informer, measurePeer, sluice, type WatchFigures } from "./rounds.js";
import { agentSection, dropSection, eventSection, watchSection } from "./sections.js";
import { agentTargets, watchTargets } from "./targets.js";

const full = {
  size: sizeOf(10_000),
  rounds: 5,
  changes: { count: 2000, perSecond: 200 },
  patches: 300,
  applies: 100,
};
const quick = {
  size: sizeOf(1000),
  rounds: 1,
  changes: { count: 200, perSecond: 200 },
  patches: 20,
  applies: 5,
};

await runPart(async (options, progress): Promise<PartResult> => {
  const isWanted = (name: string) => `cluster ${name}`.includes(options.only);
  if (!isWanted("watch") && !isWanted("agent")) return { sections: [], targets: [] };
  const counts = options.quick ? quick : full;
  execFileSync("ip", ["link", "set", "lo", "up"]);
  const bench = await startBenchCluster();
  await populate(bench.cluster, counts.size, progress);

  const peers = isWanted("watch") ? [sluice, informer, empty] : [];
  const watched = peers.map((peer) => ({ name: peer.name, rounds: [] as WatchFigures[] }));
  for (let round = 0; round < counts.rounds; round++) {
    for (const [index, peer] of peers.entries()) {
      progress(`round ${round + 1} of ${counts.rounds}: ${peer.name}`);
      watched[index]!.rounds.push(await measurePeer(bench, peer, counts.changes));
    }
  }
  const agent = isWanted("agent") ? await measureAgent(bench, counts, progress) : undefined;
  await bench.cluster.close();

  const rows = [
    ...watched,
    ...(agent === undefined ? [] : [{ name: "whole agent", rounds: [agent] }]),
  ];
  return {
    sections: [
      watchSection(describe(counts.size), rows),
      eventSection(counts.changes, rows),
      ...(agent === undefined ? [] : [agentSection(agent), dropSection(agent)]),
    ],
    targets: [...watchTargets(watched), ...agentTargets(agent, watched)],
  };
});

function describe({ services, slices, pods }: Size): string {
  const count = (value: number) => value.toLocaleString("en-US");
  return `${count(services)} Services, ${count(slices * 10)} endpoints, ${count(pods)} Pods`;
}
