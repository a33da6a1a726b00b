import { describeMissing } from "./capabilities.js";
import { datapathError, Errno } from "./errors.js";
import type { MapFd } from "./handles.js";
import { isErrno, libbpf, libbpfError, resultName } from "./libbpf.js";
import { encodeOpts } from "./libbpf-opts.js";
import type { ExpectedMap } from "./map-layout.js";

/** `BPF_MAP_TYPE_…` of the maps that the data path uses. */
export const MapType = {
  hash: 1,
  array: 2,
  programArray: 3,
  perCpuHash: 5,
  perCpuArray: 6,
  lruHash: 9,
  lruPerCpuHash: 10,
  lpmTrie: 11,
  arrayOfMaps: 12,
  hashOfMaps: 13,
  deviceMap: 14,
  cpuMap: 16,
  socketMap: 17,
  ringBuffer: 27,
} as const;

/** `BPF_F_…` bits given when a map is made. */
export const MapFlag = { noPrealloc: 1, readOnlyProgram: 1 << 7, mmapable: 1 << 10 } as const;

/**
 * Creates a map without an object file. The caller closes the descriptor.
 *
 * @throws SluiceError SLUICE_NO_CAPABILITY, SLUICE_SYSTEM_CALL
 */
export function createMap(layout: ExpectedMap, innerMap?: MapFd): MapFd {
  const { name, type, keySize, valueSize, maxEntries, mapFlags = 0 } = layout;
  const opts = encodeOpts("mapCreate", { map_flags: mapFlags, inner_map_fd: innerMap ?? 0 });
  const kernelName = name.slice(0, 15);
  const fd = libbpf().bpf_map_create(type, kernelName, keySize, valueSize, maxEntries, opts);
  if (fd >= 0) return fd as MapFd;
  const missing = isErrno(fd, Errno.EPERM) ? describeMissing(["CAP_BPF"]) : undefined;
  throw datapathError(
    missing === undefined ? "SLUICE_SYSTEM_CALL" : "SLUICE_NO_CAPABILITY",
    `cannot create map ${name}: ${missing ?? resultName(fd)}`,
    { cause: libbpfError("bpf_map_create", fd) },
  );
}
