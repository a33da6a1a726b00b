import type { Codec } from "./codec.js";
import type { SluiceError } from "./errors.js";
import { datapathError, Errno } from "./errors.js";
import type { MapFd } from "./handles.js";
import type { MapInfo } from "./kernel-info.js";
import { isErrno, libbpf, libbpfError, resultName } from "./libbpf.js";

/** What the operations on one map share. */
export interface MapAccess<K, V> {
  readonly fd: MapFd;
  readonly info: MapInfo;
  readonly key: Codec<K>;
  /** As the kernel copies it to and from system calls: of all CPUs for a per-CPU map. */
  readonly value: Codec<V>;
}

/** Error of one failed operation; a full table and a missing place have codes of their own. */
export function mapError(info: MapInfo, operation: string, result: number): SluiceError {
  const cause = libbpfError(`bpf_map_${operation}`, result);
  if (isErrno(result, Errno.E2BIG) || isErrno(result, Errno.ENOSPC)) {
    const most = `${info.maxEntries} entries`;
    return datapathError("SLUICE_MAP_FULL", `map ${info.name} has no room: it holds ${most}`, {
      cause,
    });
  }
  return datapathError(
    "SLUICE_MAP_OPERATION",
    `${operation} on map ${info.name} failed: ${resultName(result)}`,
    { cause },
  );
}

export function viewOf(buffer: Uint8Array): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** Keys by `get_next_key`; a key is taken forward before it is given out, so it may be deleted. */
export function* mapKeys<K>({ fd, info, key }: MapAccess<K, unknown>): Generator<K> {
  const next = Buffer.alloc(key.size);
  const view = viewOf(next);
  let result = libbpf().bpf_map_get_next_key(fd, null, next);
  while (result >= 0) {
    const current = key.decode(view, 0);
    result = libbpf().bpf_map_get_next_key(fd, next, next);
    yield current;
  }
  if (!isErrno(result, Errno.ENOENT)) throw mapError(info, "get_next_key", result);
}
