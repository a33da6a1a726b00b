import { setImmediate as turn } from "node:timers/promises";
import type pino from "pino";
import type { PodRoutingState } from "../api/engine.js";
import { compileMasquerade } from "../compile/masquerade.js";
import { compileNodePaths, type NodePaths } from "../compile/node-paths.js";
import {
  compileRouteRows,
  type PodRoute,
  type PodRouting,
  type RouteRows,
  TUNNEL_OVERHEAD_BYTES,
} from "../compile/route-rows.js";
import { API_SOURCE, type Cidr, type NodeRecord, type Problem } from "../model/records.js";
import { MasqueradeTable } from "./masquerade.js";
import {
  bringTunnels,
  dropTunnels,
  type NodeTunnels,
  sameTunnels,
  type TunnelDevice,
} from "./node-tunnels.js";
import { PathLookups } from "./path-lookups.js";
import type { PodObjectEvent } from "./pod-objects.js";
import { RouteDrift } from "./route-drift.js";
import { type RowFailure, RouteTables } from "./route-tables.js";
import { readUnderlay, type Underlay, underlayMtu } from "./underlay.js";
import { WakeUp } from "./wake-up.js";

/** Changes within this time are applied together. */
const COALESCE_MS = 50;
/** What somebody has taken away comes back after this time. */
const REPAIR_MS = 200;
/** All rows are read again this often: not every loss is told. */
const REREAD_MS = 60_000;
const RETRY_MS = 10_000;
/** Whoever loads a rule set of his own mostly flushes all others, and nobody tells at a price worth paying. */
const NFTABLES_MS = 2000;
/** The same with the MTU of paths. */
const PATHS_MS = 1000;

export interface NodeRoutesOptions {
  readonly nodeName: string;
  readonly routing: PodRouting;
  readonly vxlan: { readonly port: number; readonly vni: number };
  /** Bytes of payload of pods; 0: found. */
  readonly mtu: number;
  readonly masquerade: { readonly enabled: boolean; readonly exceptions: readonly Cidr[] };
  /** Where /proc/sys can be written. */
  readonly sysctlFolder: string;
  /** Told of the ranges of other nodes' pods after each change, for programs that send past the stack. */
  readonly onRoutes?: (routes: readonly PodRoute[]) => void;
}

/**
 * Routes between this node's pods and the rest: rows of the kernel that follow the Nodes. Nothing is written before the
 * first `synced`: until then what an earlier agent left leads on. Works in the network namespace of the thread that
 * makes it.
 */
export class NodeRoutes {
  readonly #options: NodeRoutesOptions;
  readonly #log: pino.Logger;
  readonly #nodes = new Map<string, NodeRecord>();
  readonly #tables = new RouteTables();
  readonly #drift: RouteDrift;
  readonly #timer = new WakeUp(() => this.#run());
  readonly #rereadTimer: NodeJS.Timeout;
  readonly #nftablesTimer: NodeJS.Timeout;
  readonly #pathsTimer: NodeJS.Timeout;
  #running: Promise<void> = Promise.resolve();
  #isClosed = false;
  #isSynced = false;
  #mustRead = true;
  #underlay: Underlay = readUnderlay();
  #paths: NodePaths = { own: undefined, others: [], problems: [] };
  #devices: NodeTunnels = new Map();
  readonly #lookups = new PathLookups();
  readonly #masquerade = new MasqueradeTable();
  #told = "";
  #podRoutes: readonly PodRoute[] = [];
  #problems: readonly Problem[] = [];
  #error: string | undefined;
  #inSync = false;

  /** @throws SluiceError SLUICE_NETLINK_FAILED */
  constructor(options: NodeRoutesOptions, log: pino.Logger) {
    this.#options = options;
    this.#log = log.child({ component: "routes" });
    this.#drift = new RouteDrift({
      isOurs: (device) => [...this.#devices.values()].some(({ index }) => index === device),
      onInterfaces: () => this.#wake(REPAIR_MS),
      onLoss: () => this.#repair(),
    });
    this.#rereadTimer = setInterval(() => this.#repair(), REREAD_MS);
    this.#rereadTimer.unref();
    this.#nftablesTimer = setInterval(() => this.#checkMasquerade(), NFTABLES_MS);
    this.#nftablesTimer.unref();
    this.#pathsTimer = setInterval(() => this.#checkPaths(), PATHS_MS);
    this.#pathsTimer.unref();
  }

  /** Level-triggered: the newest record of a node wins. */
  submit(event: PodObjectEvent | { readonly type: "synced" }): void {
    if (event.type === "synced") {
      this.#isSynced = true;
    } else if (event.type === "upsert") {
      if (event.record.kind !== "Node") return;
      const before = this.#nodes.get(event.record.name);
      this.#nodes.set(event.record.name, event.record);
      if (before !== undefined && routingOf(before) === routingOf(event.record)) return;
    } else if (event.kind !== "Node" || !this.#nodes.delete(event.name)) {
      return;
    }
    this.#wake(COALESCE_MS);
  }

  /** Bytes of payload that a new pod's interface gets. */
  podMtu(): number {
    const { mtu, routing, nodeName } = this.#options;
    if (mtu !== 0) return mtu;
    const own = this.#paths.own ?? placeOf(this.#nodes.get(nodeName));
    const underlay = underlayMtu(this.#underlay, own?.ipv4 ?? own?.ipv6);
    if (routing !== "vxlan") return underlay;
    const devices = [...this.#devices.values()].map((device) => device.mtu);
    const isV6 = own !== undefined && own.ipv4 === undefined && own.ipv6 !== undefined;
    return Math.min(underlay - TUNNEL_OVERHEAD_BYTES[isV6 ? 6 : 4], ...devices);
  }

  /** Names of the interfaces that packets of other nodes' pods come in by: tunnels, or what routes lead out of. */
  podDevices(): readonly string[] {
    if (this.#options.routing === "vxlan") {
      return [...this.#devices.values()].map(({ name }) => name);
    }
    const indices = new Set(this.#podRoutes.map(({ device }) => device));
    return this.#underlay.interfaces
      .filter(({ index }) => indices.has(index))
      .map(({ name }) => name);
  }

  problems(): readonly Problem[] {
    return this.#problems;
  }

  state(): PodRoutingState {
    const error = this.#error;
    return {
      mode: this.#options.routing,
      inSync: this.#inSync,
      mtu: this.podMtu(),
      devices: [...this.#devices.values()].map(({ name, mtu }) => ({ name, mtu })),
      nodes: new Set(this.#podRoutes.map(({ node }) => node)).size,
      routes: this.#tables.routeCount,
      masquerade: this.#masquerade.isInForce,
      ...(error !== undefined && { error }),
    };
  }

  /** What is in the kernel stays there. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#drift.close();
    this.#timer.cancel();
    clearInterval(this.#rereadTimer);
    clearInterval(this.#nftablesTimer);
    clearInterval(this.#pathsTimer);
    await this.#running;
  }

  #repair(): void {
    this.#mustRead = true;
    this.#wake(REPAIR_MS);
  }

  #wake(inMs: number): void {
    if (!this.#isClosed && this.#isSynced) this.#timer.in(inMs);
  }

  #run(): void {
    this.#running = this.#running.then(async () => {
      if (this.#isClosed) return;
      try {
        await this.#reconcile();
      } catch (error) {
        this.#fail(error);
      }
    });
  }

  async #reconcile(): Promise<void> {
    const { nodeName, routing } = this.#options;
    const underlay = readUnderlay();
    if (underlay.fingerprint !== this.#underlay.fingerprint) this.#mustRead = true;
    this.#underlay = underlay;
    this.#paths = compileNodePaths(this.#nodes.values(), nodeName);
    /* With thousands of nodes each of these takes its time. */
    await turn();
    const failures: unknown[] = [];
    const isTunnelled = routing === "vxlan";
    const devices = isTunnelled
      ? bringTunnels(this.#paths, underlay, this.#options, failures)
      : new Map<4 | 6, TunnelDevice>();
    if (!sameTunnels(devices, this.#devices)) this.#mustRead = true;
    this.#devices = devices;
    const indices = [...devices.values()].map(({ index }) => index);
    const isReading = this.#mustRead;
    this.#mustRead = false;
    if (isReading) {
      this.#lookups.clear();
      await this.#tables.read(indices);
    }
    const rows = compileRouteRows(this.#paths, {
      routing,
      devices: Object.fromEntries([...devices].map(([family, { index }]) => [family, index])),
      ownAddresses: new Set(underlay.addresses.map(({ address }) => address)),
      wayTo: (address) => this.#lookups.wayTo(address),
    });
    /* While it is not known which node this is, nothing of what an earlier agent wrote is wrong. */
    if (this.#paths.own !== undefined) {
      await turn();
      const refused = await this.#tables.write(rows, () => this.#drift.expectRemoval());
      this.#drift.removalsDone();
      failures.push(...refused.map(({ error }) => error));
      dropTunnels(isTunnelled ? this.#paths : undefined, failures);
      this.#ensureMasquerade(isReading, failures);
      this.#finish(rows, refused, failures);
    } else {
      this.#problems = rows.problems;
    }
  }

  #finish(rows: RouteRows, refused: readonly RowFailure[], failures: readonly unknown[]): void {
    this.#problems = [...rows.problems, ...refused.flatMap(foreignRoute)];
    this.#podRoutes = rows.podRoutes;
    const told = JSON.stringify(rows.podRoutes);
    if (told !== this.#told) {
      this.#options.onRoutes?.(rows.podRoutes);
      this.#told = told;
    }
    const [first] = failures;
    if (first !== undefined) {
      this.#fail(first);
      return;
    }
    if (this.#error !== undefined) this.#log.info("routes are as they should be again");
    this.#error = undefined;
    this.#inSync = true;
  }

  #fail(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    if (text !== this.#error) this.#log.error({ err: error }, "routes are not as they should be");
    this.#error = text;
    this.#mustRead = true;
    this.#wake(RETRY_MS);
  }

  #ensureMasquerade(mustRead: boolean, failures: unknown[]): void {
    const { masquerade, routing } = this.#options;
    try {
      if (masquerade.enabled) {
        const nodes = this.#nodes.values();
        const plan = compileMasquerade(nodes, this.#paths, routing, masquerade.exceptions);
        this.#masquerade.ensure(plan, mustRead);
      } else if (mustRead) {
        this.#masquerade.remove();
      }
    } catch (error) {
      failures.push(error);
    }
  }

  #checkPaths(): void {
    if (this.#options.routing !== "vxlan") return;
    try {
      if (this.#lookups.refresh()) this.#wake(0);
    } catch (error) {
      this.#fail(error);
    }
  }

  #checkMasquerade(): void {
    try {
      if (!this.#masquerade.isThere()) this.#repair();
    } catch (error) {
      this.#fail(error);
    }
  }
}

/** What of a Node its routes depend on. */
function routingOf({ podCidrs, internalAddresses, createdAtMs }: NodeRecord): string {
  const text = (cidr: Cidr) =>
    cidr.family === 4
      ? `${cidr.address}/${cidr.length}`
      : `${cidr.high} ${cidr.low}/${cidr.length}`;
  return [createdAtMs, ...podCidrs.map(text), "", ...internalAddresses.map(text)].join(",");
}

function placeOf(node: NodeRecord | undefined) {
  return node && compileNodePaths([node], node.name).own;
}

function foreignRoute({ foreignRoute: destination }: RowFailure): readonly Problem[] {
  if (destination === undefined) return [];
  return [
    {
      severity: "warning",
      code: "SLUICE_FOREIGN_ROUTE",
      origin: { source: API_SOURCE },
      kind: "Node",
      message: `this node has a route to ${destination} that is not Sluice's, which stays`,
      remedy: "Delete it, or have pods get other addresses",
    },
  ];
}
