import type { Codec } from "./codec.js";
import { datapathError } from "./errors.js";
import type { MapInfo } from "./kernel-info.js";
import { libbpf, libbpfError } from "./libbpf.js";
import { MapType } from "./map-create.js";

const perCpuTypes: ReadonlySet<number> = new Set([
  MapType.perCpuHash,
  MapType.perCpuArray,
  MapType.lruPerCpuHash,
]);

let cpus: number | undefined;

/** CPUs that this kernel can ever have, which is what per-CPU maps have slots for; not those online. */
export function possibleCpus(): number {
  if (cpus === undefined) {
    const result = libbpf().libbpf_num_possible_cpus();
    if (result < 0) {
      throw datapathError("SLUICE_SYSTEM_CALL", "cannot count the possible CPUs", {
        cause: libbpfError("libbpf_num_possible_cpus", result),
      });
    }
    cpus = result;
  }
  return cpus;
}

/** Bytes of one CPU's slot: the kernel pads each to 8. */
export function slotBytes(valueSize: number): number {
  return (valueSize + 7) & ~7;
}

/** Bytes of one value in a system call: all slots of a per-CPU map. */
export function valueBytes(info: Pick<MapInfo, "type" | "valueSize">): number {
  if (!perCpuTypes.has(info.type)) return info.valueSize;
  return slotBytes(info.valueSize) * possibleCpus();
}

/** Codec of the values of all CPUs, from that of one; index = CPU number. */
export function perCpu<V>(codec: Codec<V>): Codec<readonly V[]> {
  const slot = slotBytes(codec.size);
  const count = possibleCpus();
  return {
    name: `${codec.name} per CPU`,
    size: slot * count,
    encode(value, view, at, field = "value") {
      if (value.length !== count) {
        throw new RangeError(`${field}: ${value.length} values, and there are ${count} CPUs`);
      }
      for (let cpu = 0; cpu < count; cpu++) {
        codec.encode(value[cpu] as V, view, at + cpu * slot, field);
      }
    },
    decode: (view, at) =>
      Array.from({ length: count }, (_, cpu) => codec.decode(view, at + cpu * slot)),
  };
}
