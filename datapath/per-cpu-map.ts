import type { Codec } from "./codec.js";
import { datapathError, Errno } from "./errors.js";
import type { MapFd } from "./handles.js";
import { isErrno, libbpf } from "./libbpf.js";
import type { MapAccess } from "./map-access.js";
import { mapError } from "./map-access.js";
import { MapType } from "./map-create.js";
import { BpfMap } from "./maps.js";
import { perCpu, possibleCpus } from "./per-cpu.js";

/** A per-CPU map: each key has one value per possible CPU, which only that CPU writes. */
export class PerCpuMap<K, V> extends BpfMap<K, readonly V[]> {
  /** Takes the descriptor over; `value` is the codec of one CPU's slot. */
  constructor(fd: MapFd, key: Codec<K>, value: Codec<V>) {
    super(fd, key, perCpu(value));
  }

  /** The values of all CPUs put together, two at a time; undefined when the key has none. */
  combine(key: K, add: (left: V, right: V) => V): V | undefined {
    return this.lookup(key)?.reduce(add);
  }
}

/** Bytes of one batch of {@link sumCounters}. */
const batchBytes = 2 ** 20;

/**
 * Sums a per-CPU array over its CPUs, whose values are structs of 64-bit counters only. Cheaper than
 * decoding: no object is made per entry, and no BigInt but for the sums.
 *
 * @param entries how many are read, from the first on; default all
 * @returns `entries × counters per value`; counter `c` of index `i` is at `i * valueSize / 8 + c`
 * @throws SluiceError SLUICE_MAP_MISMATCH when a value is not a whole number of 64-bit counters
 */
export function sumCounters(
  { fd, info }: Pick<MapAccess<never, never>, "fd" | "info">,
  entries = info.maxEntries,
): BigUint64Array {
  const lanes = info.valueSize / 8;
  const cpus = possibleCpus();
  const entryBytes = info.valueSize * cpus;
  if (!Number.isInteger(lanes) || info.type !== MapType.perCpuArray) {
    const found = `values of ${info.valueSize} bytes`;
    throw datapathError(
      "SLUICE_MAP_MISMATCH",
      `map ${info.name} has ${found}, not counters per CPU`,
    );
  }
  const capacity = Math.max(1, Math.min(entries, Math.floor(batchBytes / entryBytes)));
  const keys = Buffer.alloc(capacity * 4);
  const values = new Uint32Array((capacity * entryBytes) / 4);
  const bytes = new Uint8Array(values.buffer);
  const count = Buffer.alloc(4);
  const place = Buffer.alloc(8);
  const sums = new BigUint64Array(entries * lanes);
  for (let first = 0; first < entries; ) {
    count.writeUInt32LE(Math.min(capacity, entries - first));
    const from = first === 0 ? null : place;
    const result = libbpf().bpf_map_lookup_batch(fd, from, place, keys, bytes, count, null);
    if (result < 0 && !isErrno(result, Errno.ENOENT)) throw mapError(info, "lookup_batch", result);
    const found = count.readUInt32LE();
    if (found === 0) break;
    addSlots(sums, first * lanes, values, found * lanes, lanes, cpus);
    first += found;
  }
  return sums;
}

/** Adds up little-endian halves as doubles, which are exact up to 2^21 CPUs' worth of carries. */
function addSlots(
  sums: BigUint64Array,
  offset: number,
  words: Uint32Array,
  sumCount: number,
  lanes: number,
  cpus: number,
): void {
  for (let sum = 0; sum < sumCount; sum++) {
    const entry = Math.floor(sum / lanes);
    const lane = sum % lanes;
    let low = 0;
    let high = 0;
    for (let cpu = 0; cpu < cpus; cpu++) {
      const word = 2 * ((entry * cpus + cpu) * lanes + lane);
      low += words[word] as number;
      high += words[word + 1] as number;
    }
    if (low !== 0 || high !== 0) sums[offset + sum] = (BigInt(high) << 32n) + BigInt(low);
  }
}
