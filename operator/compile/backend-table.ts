import type { AddressWords } from "./service-address.js";
import { IdAllocator } from "./id-allocator.js";

/**
 * Address, port and state of each backend by its number, in columns: there is no object for a backend. A number stays
 * with the address and port as long as they are an endpoint of the service's port, so flows and affinity can refer to it.
 */
export class BackendTable {
  readonly ids: IdAllocator;
  #words = new Uint32Array(64 * 4);
  #ports = new Uint16Array(64);
  #flags = new Uint8Array(64);

  constructor(capacity: number) {
    this.ids = new IdAllocator(capacity);
  }

  set(id: number, address: AddressWords, port: number, flags: number): void {
    if (id >= this.#ports.length) this.#grow(id);
    for (let at = 0; at < address.length; at++) this.#words[id * 4 + at] = address[at]!;
    this.#ports[id] = port;
    this.#flags[id] = flags;
  }

  setFlags(id: number, flags: number): void {
    this.#flags[id] = flags;
  }

  flags(id: number): number {
    return this.#flags[id]!;
  }

  address(id: number, family: 4 | 6): AddressWords {
    const words = family === 4 ? 1 : 4;
    return Array.from(this.#words.subarray(id * 4, id * 4 + words));
  }

  port(id: number): number {
    return this.#ports[id]!;
  }

  /** Below 0: the backend comes before that address and port; 0: it has them. */
  compare(id: number, address: AddressWords, port: number): number {
    for (let at = 0; at < address.length; at++) {
      const difference = this.#words[id * 4 + at]! - address[at]!;
      if (difference !== 0) return difference;
    }
    return this.#ports[id]! - port;
  }

  #grow(id: number): void {
    const length = Math.max(id + 1, this.#ports.length * 2);
    const words = new Uint32Array(length * 4);
    words.set(this.#words);
    this.#words = words;
    const ports = new Uint16Array(length);
    ports.set(this.#ports);
    this.#ports = ports;
    const flags = new Uint8Array(length);
    flags.set(this.#flags);
    this.#flags = flags;
  }
}
