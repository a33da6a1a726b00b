import koffi from "koffi";
import type { KoffiFunc } from "koffi";
import { datapathError, Errno, errnoName, SystemError } from "./errors.js";
import type { Pointer } from "./handles.js";
import { assertOptsSizes } from "./libbpf-opts.js";

export type ObjectPointer = Pointer<"bpf_object">;
export type ProgramPointer = Pointer<"bpf_program">;
export type MapPointer = Pointer<"bpf_map">;
export type BtfPointer = Pointer<"btf">;
export type BtfTypePointer = Pointer<"btf_type">;
type Bytes = Uint8Array;
/** Bytes of an opts structure of `libbpf-opts.ts`. */
type Opts = Uint8Array;

/** The functions of libbpf that Sluice calls. Integer results are 0 or more, or −errno. */
interface LibbpfFunctions {
  libbpf_major_version(): number;
  libbpf_minor_version(): number;
  libbpf_version_string(): string;
  libbpf_set_print(callback: bigint | null): bigint;
  libbpf_num_possible_cpus(): number;
  libbpf_probe_bpf_prog_type(type: number, opts: null): number;
  libbpf_probe_bpf_map_type(type: number, opts: null): number;
  libbpf_probe_bpf_helper(type: number, helper: number, opts: null): number;

  bpf_object__open_file(path: string, opts: Opts): ObjectPointer | null;
  bpf_object__open_mem(bytes: Bytes, size: number, opts: Opts): ObjectPointer | null;
  bpf_object__load(object: ObjectPointer): number;
  bpf_object__close(object: ObjectPointer): void;
  bpf_object__name(object: ObjectPointer): string;
  bpf_object__next_program(
    object: ObjectPointer,
    previous: ProgramPointer | null,
  ): ProgramPointer | null;
  bpf_object__next_map(object: ObjectPointer, previous: MapPointer | null): MapPointer | null;
  bpf_object__btf(object: ObjectPointer): BtfPointer | null;

  bpf_program__name(program: ProgramPointer): string;
  bpf_program__section_name(program: ProgramPointer): string;
  bpf_program__type(program: ProgramPointer): number;
  bpf_program__set_type(program: ProgramPointer, type: number): number;
  bpf_program__set_expected_attach_type(program: ProgramPointer, type: number): number;
  bpf_program__autoload(program: ProgramPointer): boolean;
  bpf_program__set_autoload(program: ProgramPointer, autoload: boolean): number;
  bpf_program__insn_cnt(program: ProgramPointer): number;
  bpf_program__fd(program: ProgramPointer): number;

  bpf_map__name(map: MapPointer): string;
  bpf_map__type(map: MapPointer): number;
  bpf_map__key_size(map: MapPointer): number;
  bpf_map__value_size(map: MapPointer): number;
  bpf_map__max_entries(map: MapPointer): number;
  bpf_map__set_max_entries(map: MapPointer, maxEntries: number): number;
  bpf_map__map_flags(map: MapPointer): number;
  bpf_map__is_internal(map: MapPointer): boolean;
  bpf_map__initial_value(map: MapPointer, size: Bytes): Pointer<"memory"> | null;
  bpf_map__set_pin_path(map: MapPointer, path: string): number;
  bpf_map__reuse_fd(map: MapPointer, fd: number): number;
  bpf_map__set_inner_map_fd(map: MapPointer, fd: number): number;
  bpf_map__set_autocreate(map: MapPointer, autocreate: boolean): number;
  bpf_map__fd(map: MapPointer): number;

  btf__load_from_kernel_by_id(id: number): BtfPointer | null;
  btf__free(btf: BtfPointer): void;
  btf__find_by_name_kind(btf: BtfPointer, name: string, kind: number): number;
  btf__type_by_id(btf: BtfPointer, id: number): BtfTypePointer | null;
  btf__name_by_offset(btf: BtfPointer, offset: number): string | null;

  bpf_prog_load(
    type: number,
    name: string,
    license: string,
    instructions: Bytes,
    count: number,
    opts: null,
  ): number;
  bpf_map_create(
    type: number,
    name: string,
    keySize: number,
    valueSize: number,
    maxEntries: number,
    opts: Opts,
  ): number;
  bpf_map_freeze(fd: number): number;
  bpf_map_lookup_elem(fd: number, key: Bytes, value: Bytes): number;
  bpf_map_update_elem(fd: number, key: Bytes, value: Bytes, flags: number): number;
  bpf_map_delete_elem(fd: number, key: Bytes): number;
  bpf_map_get_next_key(fd: number, key: Bytes | null, next: Bytes): number;
  bpf_map_lookup_and_delete_elem(fd: number, key: Bytes, value: Bytes): number;
  bpf_map_update_batch(
    fd: number,
    keys: Bytes,
    values: Bytes,
    count: Bytes,
    opts: Opts | null,
  ): number;
  bpf_map_delete_batch(fd: number, keys: Bytes, count: Bytes, opts: Opts | null): number;
  bpf_map_lookup_batch(
    fd: number,
    inBatch: Bytes | null,
    outBatch: Bytes,
    keys: Bytes,
    values: Bytes,
    count: Bytes,
    opts: Opts | null,
  ): number;

  bpf_obj_pin(fd: number, path: string): number;
  bpf_obj_get(path: string): number;
  bpf_obj_get_info_by_fd(fd: number, info: Bytes, length: Bytes): number;
  bpf_prog_get_next_id(start: number, next: Bytes): number;
  bpf_map_get_next_id(start: number, next: Bytes): number;
  bpf_link_get_next_id(start: number, next: Bytes): number;
  bpf_prog_get_fd_by_id(id: number): number;
  bpf_map_get_fd_by_id(id: number): number;
  bpf_link_get_fd_by_id(id: number): number;
  bpf_enable_stats(type: number): number;

  bpf_link_create(program: number, target: number, attachType: number, opts: Opts | null): number;
  bpf_raw_tracepoint_open(name: string, program: number): number;
  bpf_link_update(link: number, program: number, opts: Opts | null): number;
  bpf_link_detach(link: number): number;
  bpf_xdp_query(ifindex: number, flags: number, opts: Opts): number;
  bpf_tc_hook_create(hook: Opts): number;
  bpf_tc_attach(hook: Opts, opts: Opts): number;
  bpf_tc_detach(hook: Opts, opts: Opts): number;
  bpf_tc_query(hook: Opts, opts: Opts): number;
  bpf_prog_query_opts(target: number, attachType: number, opts: Opts): number;
  bpf_prog_test_run_opts(program: number, opts: Opts): number;
}

const prototypes: Record<keyof LibbpfFunctions, string> = {
  libbpf_major_version: "uint32_t libbpf_major_version(void)",
  libbpf_minor_version: "uint32_t libbpf_minor_version(void)",
  libbpf_version_string: "const char *libbpf_version_string(void)",
  libbpf_set_print: "void *libbpf_set_print(void *fn)",
  libbpf_num_possible_cpus: "int libbpf_num_possible_cpus(void)",
  libbpf_probe_bpf_prog_type: "int libbpf_probe_bpf_prog_type(int type, const void *opts)",
  libbpf_probe_bpf_map_type: "int libbpf_probe_bpf_map_type(int type, const void *opts)",
  libbpf_probe_bpf_helper: "int libbpf_probe_bpf_helper(int type, int helper, const void *opts)",

  bpf_object__open_file: "void *bpf_object__open_file(const char *path, const void *opts)",
  bpf_object__open_mem:
    "void *bpf_object__open_mem(const void *buf, size_t size, const void *opts)",
  bpf_object__load: "int bpf_object__load(void *obj)",
  bpf_object__close: "void bpf_object__close(void *obj)",
  bpf_object__name: "const char *bpf_object__name(const void *obj)",
  bpf_object__next_program: "void *bpf_object__next_program(const void *obj, void *prog)",
  bpf_object__next_map: "void *bpf_object__next_map(const void *obj, const void *map)",
  bpf_object__btf: "void *bpf_object__btf(const void *obj)",

  bpf_program__name: "const char *bpf_program__name(const void *prog)",
  bpf_program__section_name: "const char *bpf_program__section_name(const void *prog)",
  bpf_program__type: "int bpf_program__type(const void *prog)",
  bpf_program__set_type: "int bpf_program__set_type(void *prog, int type)",
  bpf_program__set_expected_attach_type:
    "int bpf_program__set_expected_attach_type(void *prog, int type)",
  bpf_program__autoload: "bool bpf_program__autoload(const void *prog)",
  bpf_program__set_autoload: "int bpf_program__set_autoload(void *prog, bool autoload)",
  bpf_program__insn_cnt: "size_t bpf_program__insn_cnt(const void *prog)",
  bpf_program__fd: "int bpf_program__fd(const void *prog)",

  bpf_map__name: "const char *bpf_map__name(const void *map)",
  bpf_map__type: "int bpf_map__type(const void *map)",
  bpf_map__key_size: "uint32_t bpf_map__key_size(const void *map)",
  bpf_map__value_size: "uint32_t bpf_map__value_size(const void *map)",
  bpf_map__max_entries: "uint32_t bpf_map__max_entries(const void *map)",
  bpf_map__set_max_entries: "int bpf_map__set_max_entries(void *map, uint32_t max_entries)",
  bpf_map__map_flags: "uint32_t bpf_map__map_flags(const void *map)",
  bpf_map__is_internal: "bool bpf_map__is_internal(const void *map)",
  bpf_map__initial_value: "void *bpf_map__initial_value(void *map, void *psize)",
  bpf_map__set_pin_path: "int bpf_map__set_pin_path(void *map, const char *path)",
  bpf_map__reuse_fd: "int bpf_map__reuse_fd(void *map, int fd)",
  bpf_map__set_inner_map_fd: "int bpf_map__set_inner_map_fd(void *map, int fd)",
  bpf_map__set_autocreate: "int bpf_map__set_autocreate(void *map, bool autocreate)",
  bpf_map__fd: "int bpf_map__fd(const void *map)",

  btf__find_by_name_kind:
    "int btf__find_by_name_kind(const void *btf, const char *name, uint32_t kind)",
  btf__load_from_kernel_by_id: "void *btf__load_from_kernel_by_id(uint32_t id)",
  btf__free: "void btf__free(void *btf)",
  btf__type_by_id: "void *btf__type_by_id(const void *btf, uint32_t id)",
  btf__name_by_offset: "const char *btf__name_by_offset(const void *btf, uint32_t offset)",

  bpf_prog_load:
    "int bpf_prog_load(int type, const char *name, const char *license, const void *insns," +
    " size_t count, const void *opts)",
  bpf_map_create:
    "int bpf_map_create(int type, const char *name, uint32_t key_size, uint32_t value_size," +
    " uint32_t max_entries, const void *opts)",
  bpf_map_freeze: "int bpf_map_freeze(int fd)",
  bpf_map_lookup_elem: "int bpf_map_lookup_elem(int fd, const void *key, void *value)",
  bpf_map_update_elem:
    "int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)",
  bpf_map_delete_elem: "int bpf_map_delete_elem(int fd, const void *key)",
  bpf_map_get_next_key: "int bpf_map_get_next_key(int fd, const void *key, void *next_key)",
  bpf_map_lookup_and_delete_elem:
    "int bpf_map_lookup_and_delete_elem(int fd, const void *key, void *value)",
  bpf_map_update_batch:
    "int bpf_map_update_batch(int fd, const void *keys, const void *values, void *count," +
    " const void *opts)",
  bpf_map_delete_batch:
    "int bpf_map_delete_batch(int fd, const void *keys, void *count, const void *opts)",
  bpf_map_lookup_batch:
    "int bpf_map_lookup_batch(int fd, void *in_batch, void *out_batch, void *keys, void *values," +
    " void *count, const void *opts)",

  bpf_obj_pin: "int bpf_obj_pin(int fd, const char *path)",
  bpf_obj_get: "int bpf_obj_get(const char *path)",
  bpf_obj_get_info_by_fd: "int bpf_obj_get_info_by_fd(int fd, void *info, void *info_len)",
  bpf_prog_get_next_id: "int bpf_prog_get_next_id(uint32_t start_id, void *next_id)",
  bpf_map_get_next_id: "int bpf_map_get_next_id(uint32_t start_id, void *next_id)",
  bpf_link_get_next_id: "int bpf_link_get_next_id(uint32_t start_id, void *next_id)",
  bpf_prog_get_fd_by_id: "int bpf_prog_get_fd_by_id(uint32_t id)",
  bpf_map_get_fd_by_id: "int bpf_map_get_fd_by_id(uint32_t id)",
  bpf_link_get_fd_by_id: "int bpf_link_get_fd_by_id(uint32_t id)",
  bpf_enable_stats: "int bpf_enable_stats(int type)",

  bpf_raw_tracepoint_open: "int bpf_raw_tracepoint_open(const char *name, int prog_fd)",
  bpf_link_create: "int bpf_link_create(int prog_fd, int target_fd, int type, const void *opts)",
  bpf_link_update: "int bpf_link_update(int link_fd, int new_prog_fd, const void *opts)",
  bpf_link_detach: "int bpf_link_detach(int link_fd)",
  bpf_xdp_query: "int bpf_xdp_query(int ifindex, int flags, void *opts)",
  bpf_tc_hook_create: "int bpf_tc_hook_create(void *hook)",
  bpf_tc_attach: "int bpf_tc_attach(const void *hook, void *opts)",
  bpf_tc_detach: "int bpf_tc_detach(const void *hook, const void *opts)",
  bpf_tc_query: "int bpf_tc_query(const void *hook, void *opts)",
  bpf_prog_query_opts: "int bpf_prog_query_opts(int target_fd, int type, void *opts)",
  bpf_prog_test_run_opts: "int bpf_prog_test_run_opts(int prog_fd, void *opts)",
};

export type Libbpf = { readonly [K in keyof LibbpfFunctions]: KoffiFunc<LibbpfFunctions[K]> };

/** Integer functions return −errno only from libbpf 1.0 on, and test run needs a field of 1.1. */
const oldestVersion = { major: 1, minor: 1 } as const;

/**
 * Loads libbpf and checks that it is the ABI this build was written against.
 *
 * @param name file name or path; another one than the default is for tests
 * @throws SluiceError SLUICE_LIBBPF_MISSING, SLUICE_LIBBPF_TOO_OLD, SLUICE_LIBBPF_ABI
 */
export function loadLibbpf(name: string): Libbpf {
  let library: ReturnType<typeof koffi.load>;
  try {
    library = koffi.load(name);
  } catch (cause) {
    throw datapathError("SLUICE_LIBBPF_MISSING", `cannot load the shared library ${name}`, {
      cause,
    });
  }
  const functions: Record<string, unknown> = {};
  for (const [symbol, prototype] of Object.entries(prototypes)) {
    try {
      functions[symbol] = library.func(prototype);
    } catch (cause) {
      throw datapathError("SLUICE_LIBBPF_TOO_OLD", `${name} has no function ${symbol}`, { cause });
    }
  }
  const libbpf = functions as unknown as Libbpf;
  const major = libbpf.libbpf_major_version();
  if (major !== oldestVersion.major || libbpf.libbpf_minor_version() < oldestVersion.minor) {
    const found = libbpf.libbpf_version_string();
    throw datapathError("SLUICE_LIBBPF_TOO_OLD", `${name} is ${found}, and 1.1 or later is needed`);
  }
  assertOptsSizes();
  // Without this, libbpf prints its warnings to stderr, across the output of the caller.
  libbpf.libbpf_set_print(null);
  return libbpf;
}

let shared: Libbpf | undefined;

/**
 * The libbpf of this process, loaded at the first call, so that commands which need no kernel run
 * without it.
 */
export function libbpf(): Libbpf {
  shared ??= loadLibbpf("libbpf.so.1");
  return shared;
}

/** Cause for the result of an integer function of libbpf, which is −errno. */
export function libbpfError(call: string, result: number): SystemError {
  return new SystemError(call, -result);
}

/** Whether the result of an integer function of libbpf is this errno. */
export function isErrno(result: number, errno: number): boolean {
  return result === -errno;
}

/** Whether a result means that the caller lacks a capability, which the kernel says as EPERM. */
export function isPermission(result: number): boolean {
  return result === -Errno.EPERM || result === -Errno.EACCES;
}

/** `EPERM` for −1. */
export function resultName(result: number): string {
  return errnoName(-result);
}
