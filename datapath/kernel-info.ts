import koffi from "koffi";
import type { TypeObject } from "koffi";
import { datapathError } from "./errors.js";
import type {
  BpfFd,
  IfIndex,
  LinkFd,
  LinkId,
  MapFd,
  MapId,
  ProgramFd,
  ProgramId,
} from "./handles.js";
import { libbpf, libbpfError } from "./libbpf.js";

/** The first fields of `struct bpf_map_info`, which every supported kernel has. */
const mapInfoType = koffi.struct({
  type: "uint32",
  id: "uint32",
  key_size: "uint32",
  value_size: "uint32",
  max_entries: "uint32",
  map_flags: "uint32",
  name: koffi.array("char", 16, "String"),
  ifindex: "uint32",
  btf_vmlinux_value_type_id: "uint32",
  netns_dev: "uint64",
  netns_ino: "uint64",
  btf_id: "uint32",
  btf_key_type_id: "uint32",
  btf_value_type_id: "uint32",
  padding: "uint32",
  map_extra: "uint64",
});

const programInfoType = koffi.struct({
  type: "uint32",
  id: "uint32",
  tag: koffi.array("uint8", 8, "Typed"),
  jited_prog_len: "uint32",
  xlated_prog_len: "uint32",
  jited_prog_insns: "uint64",
  xlated_prog_insns: "uint64",
  load_time: "uint64",
  created_by_uid: "uint32",
  nr_map_ids: "uint32",
  map_ids: "void *",
  name: koffi.array("char", 16, "String"),
  ifindex: "uint32",
  gpl_compatible: "uint32",
  netns_dev: "uint64",
  netns_ino: "uint64",
  nr_jited_ksyms: "uint32",
  nr_jited_func_lens: "uint32",
  jited_ksyms: "uint64",
  jited_func_lens: "uint64",
  btf_id: "uint32",
  func_info_rec_size: "uint32",
  func_info: "uint64",
  nr_func_info: "uint32",
  nr_line_info: "uint32",
  line_info: "uint64",
  jited_line_info: "uint64",
  nr_jited_line_info: "uint32",
  line_info_rec_size: "uint32",
  jited_line_info_rec_size: "uint32",
  nr_prog_tags: "uint32",
  prog_tags: "uint64",
  run_time_ns: "uint64",
  run_cnt: "uint64",
  recursion_misses: "uint64",
  verified_insns: "uint32",
  attach_btf_obj_id: "uint32",
  attach_btf_id: "uint32",
  padding: "uint32",
});

/** The head of `struct bpf_link_info`, with its union as the two fields that are read of it. */
const linkInfoType = koffi.struct({
  type: "uint32",
  id: "uint32",
  prog_id: "uint32",
  variant: koffi.union({
    xdp: koffi.struct({ ifindex: "uint32" }),
    tcx: koffi.struct({ ifindex: "uint32", attach_type: "uint32" }),
    cgroup: koffi.struct({ cgroup_id: "uint64", attach_type: "uint32" }),
    space: koffi.array("uint64", 6),
  }),
});

function readInfo(fd: BpfFd, type: TypeObject, what: string, bytes: Buffer): unknown {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  const result = libbpf().bpf_obj_get_info_by_fd(fd, bytes, length);
  if (result < 0) {
    throw datapathError("SLUICE_SYSTEM_CALL", `cannot read the ${what} behind a descriptor`, {
      cause: libbpfError("bpf_obj_get_info_by_fd", result),
    });
  }
  return koffi.decode(bytes, type);
}

interface RawMapInfo {
  readonly type: number;
  readonly id: MapId;
  readonly key_size: number;
  readonly value_size: number;
  readonly max_entries: number;
  readonly map_flags: number;
  readonly name: string;
  readonly btf_id: number;
  readonly btf_key_type_id: number;
  readonly btf_value_type_id: number;
}

/** A map as the kernel holds it. */
export interface MapInfo {
  readonly id: MapId;
  /** At most 15 bytes: the kernel cuts longer names. */
  readonly name: string;
  /** `BPF_MAP_TYPE_…` by number. */
  readonly type: number;
  readonly keySize: number;
  /** Bytes of one value, on one CPU for per-CPU maps. */
  readonly valueSize: number;
  readonly maxEntries: number;
  /** `BPF_F_…` bits. */
  readonly flags: number;
}

export function mapInfo(fd: MapFd): MapInfo {
  const bytes = Buffer.alloc(koffi.sizeof(mapInfoType));
  const info = readInfo(fd, mapInfoType, "map", bytes) as RawMapInfo;
  return {
    id: info.id,
    name: info.name,
    type: info.type,
    keySize: info.key_size,
    valueSize: info.value_size,
    maxEntries: info.max_entries,
    flags: info.map_flags,
  };
}

/** Where BTF describes a map's key and value; ids are 0 for a map without. */
export interface MapTypes {
  readonly btf: number;
  readonly key: number;
  readonly value: number;
}

export function mapTypes(fd: MapFd): MapTypes {
  const bytes = Buffer.alloc(koffi.sizeof(mapInfoType));
  const info = readInfo(fd, mapInfoType, "map", bytes) as RawMapInfo;
  return { btf: info.btf_id, key: info.btf_key_type_id, value: info.btf_value_type_id };
}

/** 64-bit members come as a number when it is exact, as koffi decodes them. */
interface RawProgramInfo {
  readonly type: number;
  readonly id: ProgramId;
  readonly tag: Uint8Array;
  readonly jited_prog_len: number;
  readonly xlated_prog_len: number;
  readonly load_time: number | bigint;
  readonly nr_map_ids: number;
  readonly name: string;
  readonly ifindex: number;
  readonly run_time_ns: number | bigint;
  readonly run_cnt: number | bigint;
  readonly verified_insns: number;
}

/** A program as the kernel holds it. */
export interface ProgramInfo {
  readonly id: ProgramId;
  /** At most 15 bytes: the kernel cuts longer names. */
  readonly name: string;
  /** `BPF_PROG_TYPE_…` by number. */
  readonly type: number;
  /** Hash of the instructions, 16 hexadecimal digits. */
  readonly tag: string;
  readonly isJited: boolean;
  /** Bytes of machine code; 0 when the JIT is off. */
  readonly jitedBytes: number;
  /** Bytes of BPF instructions after the verifier changed them. */
  readonly translatedBytes: number;
  /** Instructions the verifier looked at; 0 before kernel 5.16. */
  readonly verifiedInstructions: number;
  /** Nanoseconds of the boot clock. */
  readonly loadedAtNs: bigint;
  /** Nanoseconds spent in the program while statistics were on (kernel.bpf_stats_enabled). */
  readonly runTimeNs: bigint;
  readonly runCount: bigint;
  /** 0 when the program is not bound to a device for offload. */
  readonly offloadIfIndex: number;
  readonly mapIds: readonly MapId[];
}

export function programInfo(fd: ProgramFd): ProgramInfo {
  const size = koffi.sizeof(programInfoType);
  const first = readInfo(fd, programInfoType, "program", Buffer.alloc(size));
  const mapCount = (first as RawProgramInfo).nr_map_ids;
  const ids = Buffer.alloc(4 * mapCount);
  const bytes = Buffer.alloc(size);
  koffi.encode(bytes, programInfoType, { nr_map_ids: mapCount, map_ids: ids });
  const info = readInfo(fd, programInfoType, "program", bytes) as RawProgramInfo;
  return {
    id: info.id,
    name: info.name,
    type: info.type,
    tag: Buffer.from(info.tag).toString("hex"),
    isJited: info.jited_prog_len > 0,
    jitedBytes: info.jited_prog_len,
    translatedBytes: info.xlated_prog_len,
    verifiedInstructions: info.verified_insns,
    loadedAtNs: BigInt(info.load_time),
    runTimeNs: BigInt(info.run_time_ns),
    runCount: BigInt(info.run_cnt),
    offloadIfIndex: info.ifindex,
    mapIds: Array.from({ length: mapCount }, (_, index) => ids.readUInt32LE(4 * index) as MapId),
  };
}

interface RawLinkInfo {
  readonly type: number;
  readonly id: LinkId;
  readonly prog_id: ProgramId;
  readonly variant: {
    readonly xdp: { readonly ifindex: number };
    readonly tcx: { readonly ifindex: number; readonly attach_type: number };
    readonly cgroup: { readonly cgroup_id: number | bigint; readonly attach_type: number };
  };
}

/** `BPF_LINK_TYPE_…` of the links that Sluice makes. */
export const LinkType = { cgroup: 3, xdp: 6, tcx: 11 } as const;

/** A link as the kernel holds it. */
export interface LinkInfo {
  readonly id: LinkId;
  /** `BPF_LINK_TYPE_…` by number. */
  readonly type: number;
  readonly programId: ProgramId;
  /** Of XDP and tcx links; undefined when the interface is gone, and for all other links. */
  readonly ifIndex: IfIndex | undefined;
  /** `BPF_…` attach type of tcx and cgroup links. */
  readonly attachType: number | undefined;
  /** Of cgroup links. */
  readonly cgroupId: bigint | undefined;
}

export function linkInfo(fd: LinkFd): LinkInfo {
  const bytes = Buffer.alloc(koffi.sizeof(linkInfoType));
  const info = readInfo(fd, linkInfoType, "link", bytes) as RawLinkInfo;
  const { xdp, tcx, cgroup } = info.variant;
  const isTcx = info.type === LinkType.tcx;
  const isCgroup = info.type === LinkType.cgroup;
  const index: number = isTcx ? tcx.ifindex : info.type === LinkType.xdp ? xdp.ifindex : 0;
  return {
    id: info.id,
    type: info.type,
    programId: info.prog_id,
    ifIndex: index === 0 ? undefined : (index as IfIndex),
    attachType: isTcx ? tcx.attach_type : isCgroup ? cgroup.attach_type : undefined,
    cgroupId: isCgroup ? BigInt(cgroup.cgroup_id) : undefined,
  };
}
