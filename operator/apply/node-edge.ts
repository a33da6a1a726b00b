import type pino from "pino";
import type { Cidr, NodeRecord } from "../model/records.js";
import { Arrivals, arrivalInterfaces } from "./arrivals.js";
import { HostPorts } from "./host-ports.js";
import { OwnAddresses } from "./own-addresses.js";
import type { PodDatapath } from "./pod-datapath.js";
import type { PodLink } from "./pod-link.js";
import { PodRoutes } from "./pod-routes.js";
import { WakeUp } from "./wake-up.js";

const FOLLOW_MS = 1000;

export interface NodeEdgeOptions {
  /** Folder in a bpffs; one per agent. */
  readonly pinRoot: string;
  /** Globs of the interfaces that packets for pods arrive at; empty: what default routes lead to. */
  readonly uplinks: readonly string[];
}

/** Where the node ends, as its pods' programs have to know: its addresses, its uplinks, the ranges of other nodes. */
export class NodeEdge {
  readonly podRoutes: PodRoutes;
  readonly #hostPorts: HostPorts;
  readonly #uplinks: readonly string[];
  readonly #arrivals: Arrivals;
  readonly #own = new OwnAddresses();
  readonly #follow = new WakeUp(() => this.followInterfaces());
  #followedMs = Number.NEGATIVE_INFINITY;
  #ownAddresses: readonly Cidr[] = [];

  /** @throws SluiceError SLUICE_NO_BPFFS */
  constructor(datapath: PodDatapath, { pinRoot, uplinks }: NodeEdgeOptions, log: pino.Logger) {
    this.#uplinks = uplinks;
    this.#arrivals = new Arrivals(datapath.podArrive, pinRoot, log);
    this.#hostPorts = new HostPorts(datapath);
    this.podRoutes = new PodRoutes(datapath.podRoutes);
  }

  /** As they were when they were looked at last. */
  get ownAddresses(): readonly Cidr[] {
    return this.#ownAddresses;
  }

  /**
   * @param node its record, if there is one
   * @returns whether the node has other addresses now than when they were looked at last
   */
  hasOtherAddresses(node: NodeRecord | undefined): boolean {
    return this.#readAddresses(node) !== this.#ownAddresses;
  }

  lookAtAddresses(node: NodeRecord | undefined): void {
    this.#ownAddresses = this.#readAddresses(node);
  }

  /**
   * The node's addresses, and the pods behind their ports. Not before all pods of earlier agents are known.
   *
   * @throws SluiceError SLUICE_MAP_FULL
   */
  writeAddresses(links: Iterable<PodLink>): void {
    const pods = [...links].flatMap(({ addresses: { ipv4, ipv6 }, ports }) =>
      ports === undefined ? [] : [{ ipv4, ipv6, ports }],
    );
    this.#hostPorts.set(this.#ownAddresses, pods);
  }

  /** Puts pod_arrive where packets come in by now. Pods and policies are in the tables before. */
  followInterfaces(): void {
    this.#followedMs = performance.now();
    this.#arrivals.set(arrivalInterfaces(this.#uplinks));
  }

  /** The same, but once a second: looking for them takes milliseconds where there are many interfaces. */
  followInterfacesSoon(): void {
    const dueMs = this.#followedMs + FOLLOW_MS - performance.now();
    if (dueMs <= 0) this.followInterfaces();
    else this.#follow.in(dueMs);
  }

  close(): void {
    this.#follow.cancel();
  }

  #readAddresses(node: NodeRecord | undefined): readonly Cidr[] {
    return this.#own.read(node?.addresses ?? []);
  }
}
