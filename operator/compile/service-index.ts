import type { EndpointSliceRecord, ServiceRecord } from "../model/records-service.js";

const NONE: readonly never[] = Object.freeze([]);

/** Slices of one Service by their keys; mostly there is one. */
type Slices = Map<string, EndpointSliceRecord>;

/**
 * Services and the slices of each, whichever come first. It keeps the records as they are: the columns of the slices are
 * the only store of endpoints. Keys are `namespace/name`.
 */
export class ServiceIndex {
  readonly #services = new Map<string, ServiceRecord>();
  readonly #slices = new Map<string, EndpointSliceRecord>();
  readonly #slicesOf = new Map<string, EndpointSliceRecord | Slices>();
  #dirty = new Set<string>();

  get serviceCount(): number {
    return this.#services.size;
  }

  /** @param record undefined: it is gone */
  setService(key: string, record: ServiceRecord | undefined): void {
    if (this.#services.get(key) === record) return;
    if (record === undefined) this.#services.delete(key);
    else this.#services.set(key, record);
    this.#dirty.add(key);
  }

  /** @param record undefined: it is gone */
  setSlice(key: string, record: EndpointSliceRecord | undefined): void {
    const before = this.#slices.get(key);
    if (before === record) return;
    const from = before && serviceKeyOf(before);
    const to = record && serviceKeyOf(record);
    if (from !== undefined && from !== to) this.#unlink(from, key);
    if (to !== undefined) this.#link(to, key, record!);
    if (record === undefined) this.#slices.delete(key);
    else this.#slices.set(key, record);
    if (from !== undefined) this.#dirty.add(from);
    if (to !== undefined) this.#dirty.add(to);
  }

  /**
   * Takes over what is in the two stores.
   *
   * @param changed keys that may differ from the last call; undefined: any
   */
  sync(
    services: ReadonlyMap<string, ServiceRecord>,
    slices: ReadonlyMap<string, EndpointSliceRecord>,
    changed?: { readonly services: Iterable<string>; readonly slices: Iterable<string> },
  ): void {
    const serviceKeys = changed?.services ?? union(services, this.#services);
    for (const key of serviceKeys) this.setService(key, services.get(key));
    const sliceKeys = changed?.slices ?? union(slices, this.#slices);
    for (const key of sliceKeys) this.setSlice(key, slices.get(key));
  }

  service(key: string): ServiceRecord | undefined {
    return this.#services.get(key);
  }

  services(): Iterable<readonly [key: string, record: ServiceRecord]> {
    return this.#services;
  }

  /** In the order of their names, whatever the order was that they came in. */
  slicesOf(key: string): readonly EndpointSliceRecord[] {
    const slices = this.#slicesOf.get(key);
    if (slices === undefined) return NONE;
    if (!(slices instanceof Map)) return [slices];
    return [...slices.values()].sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  markDirty(key: string): void {
    this.#dirty.add(key);
  }

  markAllDirty(): void {
    for (const key of this.#services.keys()) this.#dirty.add(key);
  }

  /** Services that are not what they were at the last call, in the order of their keys. */
  takeDirty(): readonly string[] {
    const dirty = [...this.#dirty].sort();
    this.#dirty = new Set();
    return dirty;
  }

  #link(service: string, key: string, record: EndpointSliceRecord): void {
    const slices = this.#slicesOf.get(service);
    if (slices instanceof Map) {
      slices.set(key, record);
    } else if (slices === undefined || sliceKeyOf(slices) === key) {
      this.#slicesOf.set(service, record);
    } else {
      const both: Slices = new Map([
        [sliceKeyOf(slices), slices],
        [key, record],
      ]);
      this.#slicesOf.set(service, both);
    }
  }

  #unlink(service: string, key: string): void {
    const slices = this.#slicesOf.get(service);
    if (slices instanceof Map) {
      slices.delete(key);
      const [last] = slices.values();
      if (slices.size === 1 && last !== undefined) this.#slicesOf.set(service, last);
    } else if (slices !== undefined) {
      this.#slicesOf.delete(service);
    }
  }
}

function serviceKeyOf({ namespace, serviceName }: EndpointSliceRecord): string | undefined {
  return serviceName === undefined ? undefined : `${namespace}/${serviceName}`;
}

function sliceKeyOf({ namespace, name }: EndpointSliceRecord): string {
  return `${namespace}/${name}`;
}

function union<K>(left: ReadonlyMap<K, unknown>, right: ReadonlyMap<K, unknown>): ReadonlySet<K> {
  return new Set([...left.keys(), ...right.keys()]);
}
