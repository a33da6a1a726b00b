import koffi from "koffi";
import type { TypeObject } from "koffi";
import { datapathError } from "./errors.js";

/**
 * The option structures of libbpf 1.1, with the sizes that its C compiler gives them on 64-bit
 * Linux. Newer versions accept them, because each says its own size in `sz`.
 */
const definitions = {
  objectOpen: {
    size: 80,
    type: koffi.struct({
      sz: "size_t",
      object_name: "void *",
      relaxed_maps: "bool",
      pin_root_path: "void *",
      removed: "uint32",
      kconfig: "void *",
      btf_custom_path: "void *",
      kernel_log_buf: "void *",
      kernel_log_size: "size_t",
      kernel_log_level: "uint32",
    }),
  },
  mapCreate: {
    size: 48,
    type: koffi.struct({
      sz: "size_t",
      btf_fd: "uint32",
      btf_key_type_id: "uint32",
      btf_value_type_id: "uint32",
      btf_vmlinux_value_type_id: "uint32",
      inner_map_fd: "uint32",
      map_flags: "uint32",
      map_extra: "uint64",
      numa_node: "uint32",
      map_ifindex: "uint32",
    }),
  },
  linkCreate: {
    // The union at the end is 32 bytes long for kprobe_multi; the kernel hooks used here leave it 0.
    size: 64,
    type: koffi.struct({
      sz: "size_t",
      flags: "uint32",
      iter_info: "void *",
      iter_info_len: "uint32",
      target_btf_id: "uint32",
      variant: koffi.array("uint64", 4),
    }),
  },
  linkUpdate: {
    size: 16,
    type: koffi.struct({ sz: "size_t", flags: "uint32", old_prog_fd: "uint32" }),
  },
  xdpQuery: {
    size: 32,
    type: koffi.struct({
      sz: "size_t",
      prog_id: "uint32",
      drv_prog_id: "uint32",
      hw_prog_id: "uint32",
      skb_prog_id: "uint32",
      attach_mode: "uint8",
    }),
  },
  tcHook: {
    size: 24,
    type: koffi.struct({
      sz: "size_t",
      ifindex: "int32",
      attach_point: "uint32",
      parent: "uint32",
    }),
  },
  tc: {
    size: 32,
    type: koffi.struct({
      sz: "size_t",
      prog_fd: "int32",
      flags: "uint32",
      prog_id: "uint32",
      handle: "uint32",
      priority: "uint32",
    }),
  },
  progQuery: {
    size: 40,
    type: koffi.struct({
      sz: "size_t",
      query_flags: "uint32",
      attach_flags: "uint32",
      prog_ids: "void *",
      prog_cnt: "uint32",
      prog_attach_flags: "void *",
    }),
  },
  testRun: {
    size: 80,
    type: koffi.struct({
      sz: "size_t",
      data_in: "void *",
      data_out: "void *",
      data_size_in: "uint32",
      data_size_out: "uint32",
      ctx_in: "void *",
      ctx_out: "void *",
      ctx_size_in: "uint32",
      ctx_size_out: "uint32",
      retval: "uint32",
      repeat: "int32",
      duration: "uint32",
      flags: "uint32",
      cpu: "uint32",
      batch_size: "uint32",
    }),
  },
} as const satisfies Record<string, { size: number; type: TypeObject }>;

export type OptsName = keyof typeof definitions;

/**
 * Checks that koffi lays the structures out as C does.
 *
 * @throws SluiceError SLUICE_LIBBPF_ABI
 */
export function assertOptsSizes(): void {
  for (const [name, { size, type }] of Object.entries(definitions)) {
    const found = koffi.sizeof(type);
    if (found !== size) {
      throw datapathError(
        "SLUICE_LIBBPF_ABI",
        `the libbpf structure ${name} is ${found} bytes here, and ${size} in C`,
      );
    }
  }
}

/**
 * Bytes of one option structure with `sz` set and all other fields zero but those given. A Buffer
 * given for a pointer must be kept by the caller until C is done with the structure.
 */
export function encodeOpts(name: OptsName, fields: Readonly<Record<string, unknown>> = {}): Buffer {
  const { size, type } = definitions[name];
  const bytes = Buffer.alloc(size);
  koffi.encode(bytes, type, { sz: size, ...fields });
  return bytes;
}

/** Fields of an option structure that libbpf wrote to. */
export function decodeOpts<Field extends string>(
  name: OptsName,
  bytes: Buffer,
): Readonly<Record<Field, number>> {
  return koffi.decode(bytes, definitions[name].type) as Record<Field, number>;
}
