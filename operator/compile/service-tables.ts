import type { ServicePortRows, ServiceRows } from "./service-rows.js";
import { BackendTable } from "./backend-table.js";
import { IdAllocator } from "./id-allocator.js";
import { maglevTable } from "./maglev.js";
import { RangeAllocator } from "./range-allocator.js";
import { type AddressKey, type AddressWords, addressKey, type PortKey } from "./service-address.js";
import { matchBackends, type MatchedBackends } from "./service-backends.js";
import { isFull, type ServiceCapacity, ServiceCapacityError } from "./service-capacity.js";
import { knownPorts, type PortState } from "./service-port-state.js";
import type { FrontendRow } from "./service-frontends.js";
import { isSameList, isSameRanges, isSameRow, keyOf, outsideIsLocal } from "./service-same.js";
import type { Retired, ServiceBatch, ServiceRow, ServiceWrite } from "./service-writes.js";

interface ServiceState {
  readonly ports: readonly PortState[];
  readonly clusterIPs: readonly AddressWords[];
}

/** A port as it is to be, with all room taken that it needs. */
interface PortPlan {
  readonly before: PortState | undefined;
  readonly after: PortState;
  readonly backends: MatchedBackends;
  readonly prepared: readonly ServiceWrite[];
}

const NO_STATE: ServiceState = { ports: [], clusterIPs: [] };

/**
 * The rows of all Services as the kernel has them, and where in its tables they are: turns the rows that a Service is to
 * have into the fewest writes.
 */
export class ServiceTables {
  readonly capacity: ServiceCapacity;
  readonly #states = new Map<string, ServiceState>();
  readonly #backends: BackendTable;
  readonly #services: IdAllocator;
  readonly #sourceSets: IdAllocator;
  readonly #lists: RangeAllocator;
  readonly #maglev: RangeAllocator;
  /** Number of the service that a frontend leads to. */
  readonly #frontends = new Map<PortKey, number>();
  readonly #clusterIPs = new Map<AddressKey, string>();
  #sourceRanges = 0;
  /** Takes back what the Service under way has taken so far. */
  #undo: (() => void)[] = [];

  constructor(capacity: ServiceCapacity) {
    this.capacity = capacity;
    this.#backends = new BackendTable(capacity.backends);
    this.#services = new IdAllocator(capacity.services);
    this.#sourceSets = new IdAllocator(capacity.sourceRanges);
    this.#lists = new RangeAllocator(capacity.lists);
    this.#maglev = new RangeAllocator(capacity.maglev);
  }

  /** Entries in use, those that wait for the grace period included. */
  usage(): ServiceCapacity {
    return {
      services: this.#services.used,
      frontends: this.#frontends.size,
      clusterIPs: this.#clusterIPs.size,
      backends: this.#backends.ids.used,
      lists: this.#lists.used,
      maglev: this.#maglev.used,
      sourceRanges: this.#sourceRanges,
    };
  }

  /** @throws ServiceCapacityError; then nothing is changed */
  replace(service: string, rows: ServiceRows, batch: ServiceBatch): void {
    const before = this.#states.get(service) ?? NO_STATE;
    const known = knownPorts(before.ports, rows.ports);
    this.#undo = [];
    let plans: readonly PortPlan[];
    try {
      this.#checkRoom(service, rows, batch);
      plans = rows.ports.map((port) => this.#plan(port, known.get(port)));
    } catch (error) {
      for (const undo of this.#undo.toReversed()) undo();
      throw error;
    }
    for (const plan of plans) this.#commit(plan, batch);
    const kept = new Set(known.values());
    this.#placeClusterIPs(service, before.clusterIPs, rows.clusterIPs, batch);
    for (const port of before.ports) if (!kept.has(port)) this.#drop(port, batch);
    if (plans.length === 0) this.#states.delete(service);
    else {
      const ports = plans.map(({ after }) => after);
      this.#states.set(service, { ports, clusterIPs: rows.clusterIPs });
    }
  }

  /** To be called a grace period after the writes of the batch that retired it; its own writes come before others. */
  reclaim({ lists, maglev, backends, services, sourceSets }: Retired): readonly ServiceWrite[] {
    const writes: ServiceWrite[] = [];
    for (const [start, length] of lists) this.#lists.free(start, length);
    for (const [start, length] of maglev) this.#maglev.free(start, length);
    for (const id of backends) {
      this.#backends.ids.free(id);
      writes.push({ table: "backends", id, value: undefined });
    }
    for (const id of services) {
      this.#services.free(id);
      writes.push({ table: "services", id, value: undefined });
    }
    for (const [set, ranges] of sourceSets) {
      this.#sourceSets.free(set);
      this.#sourceRanges -= ranges.length;
      for (const cidr of ranges) {
        writes.push({ table: "sourceRanges", set, cidr, present: false });
      }
    }
    return writes;
  }

  #checkRoom(service: string, { ports, clusterIPs }: ServiceRows, batch: ServiceBatch): void {
    const keys = ports.flatMap(({ frontends }) => frontends.map(keyOf));
    const frontends = keys.filter((key) => !this.#frontends.has(key)).length;
    const { capacity } = this;
    const inUse = this.#frontends.size + batch.goneFrontendCount;
    if (inUse + frontends > capacity.frontends) {
      throw isFull("service frontends", service, inUse, capacity.frontends, frontends);
    }
    const addresses = clusterIPs.filter((words) => !this.#clusterIPs.has(addressKey(words)));
    const held = this.#clusterIPs.size + batch.goneClusterIPCount;
    if (held + addresses.length > capacity.clusterIPs) {
      throw isFull("cluster IPs", service, held, capacity.clusterIPs, addresses.length);
    }
  }

  #plan(port: ServicePortRows, before: PortState | undefined): PortPlan {
    const { service } = port;
    const prepared: ServiceWrite[] = [];
    const id = before?.id ?? this.#takeId(this.#services, "services", service);
    const backends = matchBackends(port, before?.ids ?? [], id, this.#backends, () =>
      this.#takeId(this.#backends.ids, "service backends", service),
    );
    const { cluster, local } = backends;
    const hasSameLists =
      before !== undefined &&
      isSameList(before.cluster, cluster) &&
      isSameList(before.local, local);
    let listStart = before?.row.listStart ?? 0;
    if (!hasSameLists) {
      const ids = [...cluster, ...local];
      listStart = this.#takeRange(this.#lists, "service lists", service, ids.length);
      if (ids.length > 0) prepared.push({ table: "lists", start: listStart, ids });
    }
    const row: ServiceRow = {
      family: port.family,
      protocol: port.protocol,
      cells: port.cells,
      hasAny: port.hasAny,
      affinitySeconds: port.affinitySeconds,
      listStart,
      clusterCount: cluster.length,
      localCount: local.length,
      ...this.#planMaglev(port, before, backends, prepared),
      ...this.#planSources(port, before, prepared),
      admitsSelf: port.admitsSelf,
    };
    const { key, port: number, frontends, sourceRanges } = port;
    const { ids } = backends;
    const after = { key, id, port: number, row, frontends, ids, cluster, local, sourceRanges };
    return { before, after, backends, prepared };
  }

  /** What comes from outside finds the same backend by any node. */
  #planMaglev(
    port: ServicePortRows,
    before: PortState | undefined,
    { cluster, local }: MatchedBackends,
    prepared: ServiceWrite[],
  ): Pick<ServiceRow, "maglevStart" | "maglevSize"> {
    const isLocal = outsideIsLocal(port.cells);
    const ids = isLocal ? local : cluster;
    if (!port.isExternal || ids.length === 0) return { maglevStart: 0, maglevSize: 0 };
    if (before !== undefined && before.row.maglevSize > 0) {
      const { maglevStart, maglevSize, cells } = before.row;
      const spread = outsideIsLocal(cells) ? before.local : before.cluster;
      if (isSameList(spread, ids)) return { maglevStart, maglevSize };
    }
    const slots = maglevTable(isLocal ? port.local : port.cluster);
    for (let at = 0; at < slots.length; at++) slots[at] = ids[slots[at]!]!;
    const maglevSize = slots.length;
    const maglevStart = this.#takeRange(this.#maglev, "Maglev tables", port.service, maglevSize);
    if (maglevSize > 0) prepared.push({ table: "maglev", start: maglevStart, ids: slots });
    return { maglevStart, maglevSize };
  }

  /** Another list of ranges is another set, so that packets meet the old one or the new one. */
  #planSources(
    { sourceRanges, service }: ServicePortRows,
    before: PortState | undefined,
    prepared: ServiceWrite[],
  ): Pick<ServiceRow, "sourceSet"> {
    if (before !== undefined && isSameRanges(before.sourceRanges, sourceRanges)) {
      return { sourceSet: before.row.sourceSet };
    }
    const count = sourceRanges.length;
    if (count === 0) return { sourceSet: 0 };
    if (this.#sourceRanges + count > this.capacity.sourceRanges) {
      const { sourceRanges: capacity } = this.capacity;
      throw isFull("source ranges", service, this.#sourceRanges, capacity, count);
    }
    this.#sourceRanges += count;
    this.#undo.push(() => (this.#sourceRanges -= count));
    const set = this.#takeId(this.#sourceSets, "source ranges", service);
    for (const cidr of sourceRanges) {
      prepared.push({ table: "sourceRanges", set, cidr, present: true });
    }
    return { sourceSet: set };
  }

  #commit({ before, after, backends, prepared }: PortPlan, batch: ServiceBatch): void {
    for (const { id, value } of backends.changed) this.#backends.setFlags(id, value.flags);
    for (const id of backends.gone) this.#backends.setFlags(id, 0);
    for (const write of backends.early) batch.prepare(write);
    for (const write of prepared) batch.prepare(write);
    for (const write of backends.late) batch.finish(write);
    for (const id of backends.gone) batch.retired.backends.push(id);
    const { row, id } = after;
    if (before === undefined || !isSameRow(before.row, row)) batch.flip(id, row);
    if (before !== undefined) this.#retireUnused(before, row, batch);
    this.#placeFrontends(before, after, batch);
  }

  #retireUnused({ row: old, sourceRanges }: PortState, row: ServiceRow, batch: ServiceBatch): void {
    const length = old.clusterCount + old.localCount;
    const isKept = old.listStart === row.listStart && length === row.clusterCount + row.localCount;
    if (!isKept && length > 0) batch.retired.lists.push([old.listStart, length]);
    const hasTable = row.maglevSize > 0 && old.maglevStart === row.maglevStart;
    if (!hasTable && old.maglevSize > 0) {
      batch.retired.maglev.push([old.maglevStart, old.maglevSize]);
    }
    if (old.sourceSet !== 0 && old.sourceSet !== row.sourceSet) {
      batch.retired.sourceSets.push([old.sourceSet, sourceRanges]);
    }
  }

  #placeFrontends(before: PortState | undefined, after: PortState, batch: ServiceBatch): void {
    const old = new Map((before?.frontends ?? []).map((row) => [keyOf(row), row]));
    for (const row of after.frontends) {
      const at = keyOf(row);
      const isKept = old.get(at)?.kind === row.kind && this.#frontends.get(at) === after.id;
      old.delete(at);
      if (isKept) continue;
      this.#frontends.set(at, after.id);
      batch.setFrontend(at, row, { service: after.id, kind: row.kind });
    }
    for (const [at, row] of old) this.#removeFrontend(at, row, after.id, batch);
  }

  /** Unless another service has it by now. */
  #removeFrontend(at: PortKey, row: FrontendRow, id: number, batch: ServiceBatch): void {
    if (this.#frontends.get(at) !== id) return;
    this.#frontends.delete(at);
    batch.removeFrontend(at, row);
  }

  #placeClusterIPs(
    service: string,
    before: readonly AddressWords[],
    after: readonly AddressWords[],
    batch: ServiceBatch,
  ): void {
    const kept = new Set(after.map(addressKey));
    for (const words of after) {
      const at = addressKey(words);
      if (!this.#clusterIPs.has(at)) batch.setClusterIP(at, words);
      this.#clusterIPs.set(at, service);
    }
    for (const words of before) {
      const at = addressKey(words);
      if (kept.has(at) || this.#clusterIPs.get(at) !== service) continue;
      this.#clusterIPs.delete(at);
      batch.removeClusterIP(at, words);
    }
  }

  #drop(port: PortState, batch: ServiceBatch): void {
    const { id, row, ids } = port;
    for (const frontend of port.frontends) {
      this.#removeFrontend(keyOf(frontend), frontend, id, batch);
    }
    for (const backend of ids) {
      const address = this.#backends.address(backend, row.family);
      const value = { service: id, address, port: this.#backends.port(backend), flags: 0 };
      this.#backends.setFlags(backend, 0);
      batch.finish({ table: "backends", id: backend, value });
      batch.retired.backends.push(backend);
    }
    const nothing = { ...row, listStart: -1, clusterCount: 0, localCount: 0, maglevSize: 0 };
    this.#retireUnused(port, { ...nothing, sourceSet: 0 }, batch);
    batch.retired.services.push(id);
  }

  #takeId(ids: IdAllocator, table: string, service: string): number {
    const id = ids.allocate();
    if (id === undefined) throw isFull(table, service, ids.used, ids.capacity, 1);
    this.#undo.push(() => ids.free(id));
    return id;
  }

  #takeRange(ranges: RangeAllocator, table: string, service: string, length: number): number {
    const start = ranges.allocate(length);
    if (start === undefined) {
      const free = `the longest free range has ${ranges.largestFree}`;
      const needed = `${ranges.used} of ${ranges.capacity} words are in use, ${free}, and ${length} are needed`;
      throw new ServiceCapacityError(table, service, needed);
    }
    this.#undo.push(() => ranges.free(start, length));
    return start;
  }
}
