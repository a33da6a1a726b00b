import type { Cidr } from "../model/records.js";
import type { Transport } from "../model/records-pod.js";
import type { AddressKey, AddressWords, PortKey } from "./service-address.js";
import type { FrontendKind } from "./service-verdict.js";

/** Flags of a backend beside READY, SERVING and TERMINATING. */
export const BACKEND_LOCAL = 8;
/** Clear: the endpoint is gone, and what remembers it is to be reset. */
export const BACKEND_PRESENT = 16;
/** Ready or serving: datagrams of a flow to one that is not are sent elsewhere. */
export const BACKEND_USABLE = 32;
/** In the lists that new connections choose from: affinity holds only within the list that counts. */
export const BACKEND_IN_CLUSTER = 64;
export const BACKEND_IN_LOCAL = 128;

export interface BackendRow {
  /** Number of the row of its service. */
  readonly service: number;
  readonly address: AddressWords;
  readonly port: number;
  readonly flags: number;
}

export interface ServiceRow {
  readonly family: 4 | 6;
  readonly protocol: Transport;
  readonly cells: number;
  readonly hasAny: boolean;
  readonly affinitySeconds: number;
  /** In `lists`: numbers of the cluster list's backends, then those of the local list's. */
  readonly listStart: number;
  readonly clusterCount: number;
  readonly localCount: number;
  /** In `maglev`; size 0: none, choose from the list. */
  readonly maglevStart: number;
  readonly maglevSize: number;
  /** Number of the set of source ranges; 0: any source may send. */
  readonly sourceSet: number;
  readonly admitsSelf: boolean;
}

export interface FrontendKey {
  readonly family: 4 | 6;
  /** Undefined: the node's addresses for node ports, which are in a table of their own. */
  readonly address: AddressWords | undefined;
  readonly port: number;
  readonly protocol: Transport;
}

export interface FrontendValue {
  readonly service: number;
  readonly kind: FrontendKind;
}

/** One row to write; a value of undefined clears it. */
export type ServiceWrite =
  | { readonly table: "backends"; readonly id: number; readonly value: BackendRow | undefined }
  | {
      readonly table: "lists" | "maglev";
      readonly start: number;
      /** Numbers of backends. */
      readonly ids: ArrayLike<number>;
    }
  | {
      readonly table: "sourceRanges";
      readonly set: number;
      readonly cidr: Cidr;
      readonly present: boolean;
    }
  | { readonly table: "services"; readonly id: number; readonly value: ServiceRow | undefined }
  | {
      readonly table: "frontends";
      readonly key: FrontendKey;
      readonly value: FrontendValue | undefined;
    }
  | {
      /** Addresses that answer with a refusal where no frontend is. */
      readonly table: "clusterIPs";
      readonly address: AddressWords;
      readonly present: boolean;
    }
  | { readonly table: "nodePortAddresses"; readonly address: Cidr; readonly present: boolean }
  | {
      /** What is in here and nobody's is dropped, so that it does not circle between routers. */
      readonly table: "serviceRanges";
      readonly cidr: Cidr;
      readonly present: boolean;
    };

/** What no row leads to any more, but packets under way may still read. */
export interface Retired {
  readonly lists: readonly (readonly [start: number, length: number])[];
  readonly maglev: readonly (readonly [start: number, length: number])[];
  readonly backends: readonly number[];
  readonly services: readonly number[];
  readonly sourceSets: readonly (readonly [set: number, ranges: readonly Cidr[]])[];
}

/**
 * Writes of one update in the order that keeps each packet's answer whole, whenever the writer is killed:
 *
 *     backends, lists, Maglev tables, source ranges    nothing leads to them yet
 *     services                                         each flips at once from the old lists to the new
 *     frontends, cluster IPs: new ones, then old ones  what moves to another service is one write
 *     backends that are gone or no longer chosen
 *
 * and after a grace period what `Retired` names.
 */
export class ServiceBatch {
  readonly #prepared: ServiceWrite[] = [];
  readonly #flips: ServiceWrite[] = [];
  readonly #frontends = new Map<PortKey, ServiceWrite>();
  readonly #goneFrontends = new Map<PortKey, ServiceWrite>();
  readonly #clusterIPs = new Map<AddressKey, ServiceWrite>();
  readonly #goneClusterIPs = new Map<AddressKey, ServiceWrite>();
  readonly #finished: ServiceWrite[] = [];
  readonly retired = {
    lists: [] as [number, number][],
    maglev: [] as [number, number][],
    backends: [] as number[],
    services: [] as number[],
    sourceSets: [] as [number, readonly Cidr[]][],
  } satisfies Retired;

  /** Rows that stand in the table until the end of the batch. */
  get goneFrontendCount(): number {
    return this.#goneFrontends.size;
  }

  get goneClusterIPCount(): number {
    return this.#goneClusterIPs.size;
  }

  prepare(...writes: readonly ServiceWrite[]): void {
    for (const write of writes) this.#prepared.push(write);
  }

  flip(id: number, value: ServiceRow): void {
    this.#flips.push({ table: "services", id, value });
  }

  finish(write: ServiceWrite): void {
    this.#finished.push(write);
  }

  setFrontend(at: PortKey, key: FrontendKey, value: FrontendValue): void {
    this.#goneFrontends.delete(at);
    this.#frontends.set(at, { table: "frontends", key, value });
  }

  removeFrontend(at: PortKey, key: FrontendKey): void {
    this.#frontends.delete(at);
    this.#goneFrontends.set(at, { table: "frontends", key, value: undefined });
  }

  setClusterIP(at: AddressKey, address: AddressWords): void {
    if (this.#goneClusterIPs.delete(at)) return;
    this.#clusterIPs.set(at, { table: "clusterIPs", address, present: true });
  }

  removeClusterIP(at: AddressKey, address: AddressWords): void {
    this.#clusterIPs.delete(at);
    this.#goneClusterIPs.set(at, { table: "clusterIPs", address, present: false });
  }

  writes(): readonly ServiceWrite[] {
    return [
      ...this.#prepared,
      ...this.#flips,
      ...this.#frontends.values(),
      ...this.#clusterIPs.values(),
      ...this.#goneFrontends.values(),
      ...this.#goneClusterIPs.values(),
      ...this.#finished,
    ];
  }
}
