/** ADD and DEL beside the reference plugins: docs/bench.md, "CNI". */
import { execFileSync } from "node:child_process";
import { makeNamespace, makeScratchFolder } from "../cleanup.js";
import { makeOutside, nodeAddress, uplink } from "../cluster/wire.js";
import { runPart } from "../part.js";
import { startPodAgent } from "../pods/agent.js";
import { createPods, inParallel, startPodCluster } from "../pods/cluster.js";
import {
  formatNumber,
  formatRatio,
  type PartResult,
  percentile,
  type Section,
  type Target,
} from "../result.js";
import { bridgePlugin, callPlugin, type CniPod, type Plugin, sluicePlugin } from "./plugins.js";

const full = { rounds: 10, pods: 64 };
const quick = { rounds: 1, pods: 16 };
const widths = [1, 16] as const;
const commands = ["ADD", "DEL"] as const;
const nodeName = "node1";

const mostAddRatio = 1;
const fewestAddsPerSecond = 50;

/** What one plugin took for one command. */
interface Times {
  readonly command: (typeof commands)[number];
  readonly width: (typeof widths)[number];
  readonly plugin: string;
  readonly callsMs: number[];
  /** Of each round, calls per second. */
  readonly rates: number[];
}

await runPart(async (options, progress): Promise<PartResult> => {
  if (!"cni".includes(options.only)) return { sections: [], targets: [] };
  const { rounds, pods: count } = options.quick ? quick : full;
  withoutDetection();
  execFileSync("ip", ["link", "set", "lo", "up"]);
  makeOutside();
  const { cluster, installed } = await startPodCluster();
  await cluster.createNode(nodeName, {
    addresses: [nodeAddress],
    podCIDRs: ["10.244.1.0/24", "fd00:244:1::/64"],
  });
  const names = Array.from({ length: count }, (_, index) => `pod-${index}`);
  const known = await createPods(cluster, nodeName, names);
  const agent = await startPodAgent({
    nodeName,
    account: await installed.account(nodeName),
    apiServer: new URL(cluster.url).host,
    uplink,
  });
  const namespaces = names.map((name) => makeNamespace(name));
  const plugins = [sluicePlugin(agent.binFolder), bridgePlugin(makeScratchFolder().path)];
  const times = plugins.flatMap(({ name: plugin }) =>
    widths.flatMap((width) =>
      commands.map((command): Times => ({ command, width, plugin, callsMs: [], rates: [] })),
    ),
  );
  let containers = 0;
  const measure = async (plugin: Plugin, width: Times["width"], isWarmUp: boolean) => {
    const pods = known.map((pod, index): CniPod => {
      return { ...pod, namespace: namespaces[index]!, containerId: `container-${++containers}` };
    });
    for (const command of commands) {
      const startMs = performance.now();
      const done = await inParallel(pods, (pod) => callPlugin(plugin, command, pod), width);
      const rate = (pods.length * 1000) / (performance.now() - startMs);
      if (isWarmUp) continue;
      const row = times.find(
        (one) => one.plugin === plugin.name && one.width === width && one.command === command,
      );
      row?.callsMs.push(...done.map(({ timeMs }) => timeMs));
      row?.rates.push(rate);
    }
  };
  for (let round = 0; round <= rounds; round++) {
    progress(round === 0 ? "warming up" : `round ${round} of ${rounds}`);
    for (const width of widths) {
      for (const plugin of plugins) await measure(plugin, width, round === 0);
    }
  }
  agent.end();
  await cluster.close();
  return { sections: [section(times, plugins)], targets: targets(times, plugins) };
});

/** Duplicate address detection would be waited for by the bridge plugin, a second and more. */
function withoutDetection(): void {
  for (const name of ["all", "default"]) {
    execFileSync("sysctl", ["-q", "-w", `net.ipv6.conf.${name}.accept_dad=0`]);
  }
}

function pairs(times: readonly Times[], [own, peer]: readonly Plugin[]) {
  const of = (plugin: Plugin | undefined) => times.filter((row) => row.plugin === plugin?.name);
  const peers = of(peer);
  return of(own).map((row) => ({
    row,
    peer: peers.find(({ command, width }) => command === row.command && width === row.width)!,
  }));
}

function section(times: readonly Times[], plugins: readonly Plugin[]): Section {
  const figures = ({ callsMs, rates }: Times) => [
    ...[0.5, 0.99].map((share) => formatNumber(percentile(callsMs, share))),
    formatNumber(percentile(rates, 0.5)),
  ];
  return {
    title: "CNI calls",
    columns: [
      "call",
      "at once",
      "ms, p50",
      "p99",
      "per s",
      "peer: p50",
      "p99",
      "per s",
      "× peer, p50",
    ],
    rows: pairs(times, plugins).map(({ row, peer }) => [
      row.command,
      String(row.width),
      ...figures(row),
      ...figures(peer),
      formatRatio(percentile(row.callsMs, 0.5) / percentile(peer.callsMs, 0.5)),
    ]),
    notes: [
      `From the start of the plugin's process to its end, in both families. The peer is ${plugins[1]?.name} of Debian's ` +
        "containernetworking-plugins, without detection of duplicate addresses and without any policy.",
    ],
  };
}

function targets(times: readonly Times[], plugins: readonly Plugin[]): readonly Target[] {
  return pairs(times, plugins).flatMap(({ row, peer }): readonly Target[] => {
    if (row.command !== "ADD") return [];
    const [ownMs, peerMs] = [row, peer].map(({ callsMs }) => percentile(callsMs, 0.5)) as [
      number,
      number,
    ];
    if (row.width === 1) {
      return [
        {
          what: "CNI ADD, one at a time",
          goal: `≤ ${mostAddRatio} × bridge + host-local`,
          measured: `${formatRatio(ownMs / peerMs)} (${formatNumber(ownMs)} ms against ${formatNumber(peerMs)})`,
          isReached: ownMs <= mostAddRatio * peerMs,
        },
      ];
    }
    const rate = percentile(row.rates, 0.5);
    return [
      {
        what: `CNI ADD, ${row.width} at once`,
        goal: `≥ ${fewestAddsPerSecond} a second`,
        measured: `${formatNumber(rate)}; the peer ${formatNumber(percentile(peer.rates, 0.5))}`,
        isReached: rate >= fewestAddsPerSecond,
      },
    ];
  });
}
