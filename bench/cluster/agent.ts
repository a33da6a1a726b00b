import { setTimeout as sleep } from "node:timers/promises";
import { type ApiClient, createClient } from "../../operator/api/client.js";
import { SluiceError } from "../../operator/errors.js";
import { makePinFolder, makeScratchFolder } from "../cleanup.js";
import { type BenchCluster, nodeName } from "./bench-cluster.js";
import type { Changes } from "./changes.js";
import { type DropDelays, DropMeter, type DropPolicy } from "./drop.js";
import {
  agentEnvironment,
  agentNodeFlags,
  measureChanges,
  settleMs,
  type WatchFigures,
} from "./rounds.js";
import { startSubject } from "./subject.js";
import { makeOutside, nodeAddress, outsideAddress, uplink } from "./wire.js";

export interface AgentFigures extends WatchFigures {
  readonly patched: DropDelays;
  readonly applied: DropDelays;
}

export interface AgentCounts {
  readonly changes: Changes;
  readonly patches: number;
  readonly applies: number;
}

/** Room for some 160,000 random addresses, 4 MiB: the agent maps the tables, and pages that it wrote are resident. */
export const addressLines = 65_536;

const patienceMs = 60_000;

const xdpPolicy: DropPolicy = {
  apiVersion: "sluice.dev/v1alpha1",
  kind: "XdpPolicy",
  name: "bench",
  path: "/apis/sluice.dev/v1alpha1/xdppolicies/bench",
  spec: (action) => ({
    priority: 100,
    ingress: [{ name: "sender", action, from: [{ cidr: `${outsideAddress}/32` }] }],
  }),
};

/** Runs the agent in the namespace of this process. */
export async function measureAgent(
  bench: BenchCluster,
  { changes, patches, applies }: AgentCounts,
  progress: (text: string) => void,
): Promise<AgentFigures> {
  const { cluster, account } = bench;
  const outside = makeOutside();
  const pins = makePinFolder();
  const scratch = makeScratchFolder();
  const socket = `${scratch.path}/agent.sock`;
  const flags = {
    "service-account": account.folder,
    "api-server": new URL(cluster.url).host,
    "node-name": nodeName,
    uplinks: uplink,
    "pin-root": pins.path,
    "state-folder": `${scratch.path}/state`,
    socket,
    "address-lines": String(addressLines),
    "log-level": "warn",
  };
  const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const subject = startSubject({
    script: "agent-entry.js",
    args,
    nodeFlags: agentNodeFlags,
    wrapper: agentEnvironment,
  });
  await subject.ask("mark");
  const sync = await subject.ask("start");
  await untilInSync(createClient(socket));
  await sleep(settleMs);
  progress("agent: slices change");
  const watched = await measureChanges(bench, subject, sync, changes);
  const meter = new DropMeter(
    cluster,
    xdpPolicy,
    { namespace: outside, address: outsideAddress },
    { address: nodeAddress },
  );
  const patched = await meter.measure("PATCH", patches, progress);
  const applied = await meter.measure("kubectl apply", applies, progress);
  meter.end();
  await subject.end();
  return { ...watched, patched, applied };
}

async function untilInSync(client: ApiClient): Promise<void> {
  for (const end = performance.now() + patienceMs; performance.now() < end; await sleep(20)) {
    const status = await client.call("status").catch(() => undefined);
    if (status?.inSync === true) return;
  }
  throw new SluiceError("SLUICE_BENCH", "the agent did not come in sync", {
    remedy: "Read what it said above",
  });
}
