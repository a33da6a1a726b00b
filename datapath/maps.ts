import type { Codec } from "./codec.js";
import { bytes } from "./codec.js";
import { datapathError, Errno } from "./errors.js";
import type { MapFd } from "./handles.js";
import { closeFd } from "./handles.js";
import type { MapInfo } from "./kernel-info.js";
import { mapInfo } from "./kernel-info.js";
import { isErrno, libbpf } from "./libbpf.js";
import type { MapAccess } from "./map-access.js";
import { mapError, mapKeys, viewOf } from "./map-access.js";
import { batchDelete, batchEntries, batchSlices, batchUpdate, type MapSlice } from "./map-batch.js";
import { createMap } from "./map-create.js";
import type { ExpectedMap } from "./map-layout.js";
import { checkMap } from "./map-layout.js";
import { valueBytes } from "./per-cpu.js";
import { openPin, pinObject } from "./pin.js";

/** Whether an update may create (`noexist`), must replace (`exist`), or may do either (`any`). */
export type UpdateMode = "any" | "noexist" | "exist";
const updateFlags: Record<UpdateMode, number> = { any: 0, noexist: 1, exist: 2 };

/**
 * A map of the kernel with typed keys and values. All calls are system calls of about a microsecond;
 * for many entries use the batch calls, for tables written all the time {@link MappedArray}.
 */
export class BpfMap<K, V> implements MapAccess<K, V> {
  readonly fd: MapFd;
  readonly info: MapInfo;
  readonly key: Codec<K>;
  readonly value: Codec<V>;
  readonly #key: Buffer;
  readonly #value: Buffer;
  readonly #keyView: DataView;
  readonly #valueView: DataView;

  /**
   * Takes the descriptor over.
   *
   * @param value of one CPU's slot for {@link PerCpuMap}, of the whole value for all other maps
   * @throws SluiceError SLUICE_MAP_MISMATCH when the codecs do not have the sizes of the map
   */
  constructor(fd: MapFd, key: Codec<K>, value: Codec<V>) {
    this.fd = fd;
    this.key = key;
    this.value = value;
    this.info = mapInfo(fd);
    const { name, keySize } = this.info;
    const valueSize = valueBytes(this.info);
    if (keySize !== key.size || valueSize !== value.size) {
      closeFd(fd);
      throw datapathError(
        "SLUICE_MAP_MISMATCH",
        `map ${name} has keys of ${keySize} and values of ${valueSize} bytes, and its codecs ` +
          `${key.name} and ${value.name} have ${key.size} and ${value.size}`,
      );
    }
    this.#key = Buffer.alloc(keySize);
    this.#value = Buffer.alloc(valueSize);
    this.#keyView = viewOf(this.#key);
    this.#valueView = viewOf(this.#value);
  }

  /** A map under raw bytes, for tools that do not know its types. */
  static raw(fd: MapFd): BpfMap<Uint8Array, Uint8Array> {
    const info = mapInfo(fd);
    return new BpfMap(fd, bytes(info.keySize), bytes(valueBytes(info)));
  }

  /**
   * Makes a map that no object file declares, such as the inner one of a map of maps.
   *
   * @throws SluiceError SLUICE_NO_CAPABILITY, SLUICE_SYSTEM_CALL
   */
  static create<K, V>(layout: ExpectedMap, key: Codec<K>, value: Codec<V>): BpfMap<K, V> {
    return new BpfMap(createMap(layout), key, value);
  }

  /**
   * Opens a pin and checks it against a layout.
   *
   * @throws SluiceError SLUICE_PIN_FAILED, SLUICE_NO_BPFFS, SLUICE_MAP_LAYOUT, SLUICE_MAP_MISMATCH
   */
  static openPinned<K, V>(
    path: string,
    key: Codec<K>,
    value: Codec<V>,
    expected?: ExpectedMap,
  ): BpfMap<K, V> {
    const fd = openPin(path, "map");
    try {
      if (expected !== undefined) checkMap(fd, expected, "SLUICE_MAP_LAYOUT");
    } catch (error) {
      closeFd(fd);
      throw error;
    }
    return new BpfMap(fd, key, value);
  }

  /** The value of a key; undefined when it has none. */
  lookup(key: K): V | undefined {
    this.key.encode(key, this.#keyView, 0);
    const result = libbpf().bpf_map_lookup_elem(this.fd, this.#key, this.#value);
    if (isErrno(result, Errno.ENOENT)) return undefined;
    if (result < 0) throw mapError(this.info, "lookup_elem", result);
    return this.value.decode(this.#valueView, 0);
  }

  /**
   * Writes one entry.
   *
   * @returns false when the mode did not allow it: the key exists (`noexist`) or does not (`exist`)
   * @throws SluiceError SLUICE_MAP_FULL, also for an array index beyond the end
   */
  update(key: K, value: V, mode: UpdateMode = "any"): boolean {
    this.key.encode(key, this.#keyView, 0);
    this.value.encode(value, this.#valueView, 0);
    const flags = updateFlags[mode];
    const result = libbpf().bpf_map_update_elem(this.fd, this.#key, this.#value, flags);
    if (result >= 0) return true;
    if (mode === "noexist" && isErrno(result, Errno.EEXIST)) return false;
    if (mode === "exist" && isErrno(result, Errno.ENOENT)) return false;
    throw mapError(this.info, "update_elem", result);
  }

  /** @returns false when the key had no entry */
  delete(key: K): boolean {
    this.key.encode(key, this.#keyView, 0);
    const result = libbpf().bpf_map_delete_elem(this.fd, this.#key);
    if (result >= 0) return true;
    if (isErrno(result, Errno.ENOENT)) return false;
    throw mapError(this.info, "delete_elem", result);
  }

  /** Takes an entry out; undefined when the key has none. Not for arrays. */
  lookupAndDelete(key: K): V | undefined {
    this.key.encode(key, this.#keyView, 0);
    const result = libbpf().bpf_map_lookup_and_delete_elem(this.fd, this.#key, this.#value);
    if (isErrno(result, Errno.ENOENT)) return undefined;
    if (result < 0) throw mapError(this.info, "lookup_and_delete_elem", result);
    return this.value.decode(this.#valueView, 0);
  }

  /**
   * All keys, one call each. A hash entry deleted meanwhile by someone else makes the kernel start
   * over, so a key can come twice; deleting the key that was just given is safe.
   */
  keys(): Generator<K> {
    return mapKeys(this);
  }

  /** All entries, 4,096 per call; entries added or deleted meanwhile may be missed or be there. */
  entries(): Generator<readonly [K, V]> {
    return batchEntries(this);
  }

  /** The same as bytes, one call for each slice, when it is asked for. @param most entries of a slice */
  slices(most: number): Generator<MapSlice> {
    return batchSlices(this, Math.max(1, Math.min(most, this.info.maxEntries)));
  }

  /**
   * Writes many entries, 4,096 per call; stops at the first that fails.
   *
   * @returns how many were written, which is all
   * @throws SluiceError SLUICE_MAP_FULL, SLUICE_MAP_OPERATION; the message says how many were written
   */
  updateAll(entries: Iterable<readonly [K, V]>): number {
    return batchUpdate(this, entries);
  }

  /** @returns how many of the keys had entries, all of which are deleted */
  deleteAll(keys: Iterable<K>): number {
    return batchDelete(this, keys);
  }

  /** Makes the map read-only for system calls, for good. Programs still write. */
  freeze(): void {
    const result = libbpf().bpf_map_freeze(this.fd);
    if (result < 0) throw mapError(this.info, "freeze", result);
  }

  /** @throws SluiceError SLUICE_PIN_FAILED, SLUICE_NO_BPFFS */
  pin(path: string): void {
    pinObject(this.fd, path);
  }

  close(): void {
    closeFd(this.fd);
  }
}
