/** Pods' traffic beside veths that the kernel routes: docs/bench.md, "Pods". */
import { execFileSync } from "node:child_process";
import { runPart } from "../part.js";
import type { PartResult, Section, Target } from "../result.js";
import { type ChangeFigures, measureChange, type PodMemory, readPodMemory } from "./change.js";
import { startPodCluster } from "./cluster.js";
import type { Routing } from "./nodes.js";
import { measurePackets, packetsSection, packetsTargets } from "./packets.js";
import { raisePolicies } from "./policies.js";
import { measureRates, type Rates } from "./rates.js";
import {
  changeSection,
  changeTargets,
  describe,
  memorySection,
  ratesSection,
  ratesTargets,
} from "./sections.js";
import { makePodWorld } from "./world.js";

const full = {
  policies: [0, 100, 1000],
  crowd: { pods: 1000, local: 110, changes: 300 },
};
const quick = {
  policies: [0, 100],
  crowd: { pods: 60, local: 20, changes: 5 },
};

await runPart(async (options, progress): Promise<PartResult> => {
  const isWanted = (name: string) => `pods ${name}`.includes(options.only);
  const { policies, crowd } = options.quick ? quick : full;
  const sections: Section[] = [];
  const targets: Target[] = [];
  if (isWanted("packets")) {
    const figures = await measurePackets(options, progress);
    sections.push(packetsSection(figures));
    targets.push(...packetsTargets(figures));
  }
  if (!isWanted("traffic") && !isWanted("change")) return { sections, targets };

  execFileSync("ip", ["link", "set", "lo", "up"]);
  const rates: Rates[] = [];
  let change: ChangeFigures | undefined;
  const memory: [string, PodMemory][] = [];
  const measure = async (routing: Routing) => {
    const podCluster = await startPodCluster();
    const world = await makePodWorld(podCluster, routing);
    const isFirst = routing === "direct";
    if (isFirst) memory.push(["2 pods on the node, no policy", readPodMemory(world)]);
    let inForce = 0;
    for (const count of policies) {
      progress(`${routing}: ${count} policies`);
      await raisePolicies(podCluster.cluster, world.agents, inForce, count);
      inForce = count;
      if (!isWanted("traffic")) continue;
      rates.push(...(await measureRates(world, routing, count, options, progress)));
    }
    if (isFirst && isWanted("change")) {
      change = await measureChange(world, crowd, progress);
      memory.push([describe(crowd, inForce), change.memory]);
    }
    for (const agent of world.agents) agent.end();
    await podCluster.cluster.close();
  };
  await measure("direct");
  if (isWanted("traffic")) await measure("vxlan");

  if (rates.length > 0) {
    sections.push(ratesSection(rates));
    targets.push(...ratesTargets(rates));
  }
  if (change !== undefined) {
    sections.push(changeSection(change, crowd, policies[policies.length - 1]!));
    targets.push(...changeTargets(change));
    sections.push(memorySection(memory));
  }
  return { sections, targets };
});
