import { formatCidr } from "../model/cidr-format.js";
import type { Cidr, Problem } from "../model/records.js";
import { type ServiceCapacity, ServiceCapacityError } from "./service-capacity.js";
import { ServiceClaims } from "./service-claims.js";
import { ServiceIndex } from "./service-index.js";
import type { ServicePlace } from "./service-place.js";
import { compileService, type HealthCheck } from "./service-rows.js";
import { ServiceTables } from "./service-tables.js";
import { type Retired, ServiceBatch, type ServiceWrite } from "./service-writes.js";

export interface ServiceUpdate {
  /** In this order. */
  readonly writes: readonly ServiceWrite[];
  /** To be given back a grace period after the last write. */
  readonly retired: Retired;
  /** Services that wait for the next update. */
  readonly waiting: number;
}

/**
 * From records of Services and slices to writes into the kernel's tables, for one node. It does nothing by itself: tell
 * `index` what changed, and take the update.
 */
export class ServiceCompiler {
  readonly index = new ServiceIndex();
  readonly #claims = new ServiceClaims();
  readonly #tables: ServiceTables;
  readonly #problems = new Map<string, readonly Problem[]>();
  readonly #health = new Map<string, HealthCheck>();
  /** Those that the tables have no room for; what they were before is in force. */
  readonly #refused = new Set<string>();
  /** Services to compile, in this order. */
  readonly #pending = new Set<string>();
  #place: ServicePlace;
  /** Of the node and not of a Service. */
  readonly #nodePortAddresses = new Map<string, Cidr>();
  readonly #serviceRanges = new Map<string, Cidr>();

  constructor(capacity: ServiceCapacity, place: ServicePlace) {
    this.#tables = new ServiceTables(capacity);
    this.#place = place;
  }

  /** What the node is now; a change of what guards external IPs alone touches only the Services that have some. */
  setPlace(place: ServicePlace): void {
    const before = this.#place;
    this.#place = place;
    const withoutParts = (one: ServicePlace) =>
      textOf({ ...one, guard: undefined, nodePortAddresses: undefined });
    if (withoutParts(before) !== withoutParts(place)) {
      this.index.markAllDirty();
    } else if (textOf(before.guard) !== textOf(place.guard)) {
      for (const { key } of this.#claims.withExternalIPs()) this.index.markDirty(key);
    }
  }

  /**
   * What changed since the last call.
   *
   * @param most Services in one update: with thousands of them the caller wants to do other things in between
   */
  update(most = Number.POSITIVE_INFINITY): ServiceUpdate {
    const batch = new ServiceBatch();
    const place = this.#place;
    for (const cidr of difference(this.#nodePortAddresses, place.nodePortAddresses)) {
      batch.prepare({ table: "nodePortAddresses", ...cidr });
    }
    for (const { address: cidr, present } of difference(
      this.#serviceRanges,
      place.guard.serviceRanges,
    )) {
      batch.prepare({ table: "serviceRanges", cidr, present });
    }
    this.#takeDirty();
    let left = most;
    for (const key of this.#pending) {
      if (left-- <= 0) break;
      this.#pending.delete(key);
      this.#compile(key, batch);
    }
    const { retired } = batch;
    return { writes: batch.writes(), retired, waiting: this.#pending.size };
  }

  /** Gives back what an update retired, a grace period after its writes; Services that did not fit get another chance. */
  reclaim(retired: Retired): readonly ServiceWrite[] {
    for (const key of this.#refused) this.index.markDirty(key);
    return this.#tables.reclaim(retired);
  }

  /** Of all Services, in the order of their names. */
  problems(): readonly Problem[] {
    return [...this.#problems.keys()].sort().flatMap((key) => this.#problems.get(key)!);
  }

  healthChecks(): readonly HealthCheck[] {
    return [...this.#health.keys()].sort().map((key) => this.#health.get(key)!);
  }

  usage(): ServiceCapacity {
    return this.#tables.usage();
  }

  /** With those whose addresses others gained or lost. Those that are gone come first: they make room. */
  #takeDirty(): void {
    const dirty = this.index.takeDirty();
    if (dirty.length === 0) return;
    const touched = new Set([...this.#pending, ...dirty]);
    for (const key of dirty) {
      this.#claims.set(key, this.index.service(key), (other) => touched.add(other));
    }
    this.#pending.clear();
    const isGone = (key: string) => this.#claims.get(key) === undefined;
    const all = [...touched].sort();
    for (const key of all) if (isGone(key)) this.#pending.add(key);
    for (const key of all) if (!isGone(key)) this.#pending.add(key);
  }

  #compile(key: string, batch: ServiceBatch): void {
    const claimant = this.#claims.get(key);
    const rows = compileService(claimant, this.index.slicesOf(key), this.#place, this.#claims);
    let { problems } = rows;
    this.#refused.delete(key);
    try {
      this.#tables.replace(key, rows, batch);
    } catch (error) {
      if (!(error instanceof ServiceCapacityError)) throw error;
      this.#refused.add(key);
      problems = [...problems, capacityProblem(key, error, claimant!.service.origin)];
    }
    if (problems.length === 0) this.#problems.delete(key);
    else this.#problems.set(key, problems);
    if (rows.health === undefined) this.#health.delete(key);
    else this.#health.set(key, rows.health);
  }
}

function capacityProblem(
  name: string,
  { code, problem, remedy }: ServiceCapacityError,
  origin: Problem["origin"],
): Problem {
  const message = `${problem}; what was in force stays`;
  return {
    severity: "error",
    code,
    origin,
    kind: "Service",
    name,
    message,
    remedy: remedy ?? "",
  };
}

/** Makes `held` what is wanted, and tells how. */
function difference(held: Map<string, Cidr>, wanted: readonly Cidr[]) {
  const changes: { address: Cidr; present: boolean }[] = [];
  const texts = new Map(wanted.map((cidr) => [formatCidr(cidr), cidr]));
  for (const [text, address] of texts) {
    if (held.has(text)) continue;
    held.set(text, address);
    changes.push({ address, present: true });
  }
  for (const [text, address] of held) {
    if (texts.has(text)) continue;
    held.delete(text);
    changes.push({ address, present: false });
  }
  return changes;
}

function textOf(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "bigint" ? part.toString() : part,
  );
}
