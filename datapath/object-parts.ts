import { existsSync } from "node:fs";
import koffi from "koffi";
import type { MapLayout } from "./codec.js";
import { datapathError } from "./errors.js";
import type { MapFd, ProgramFd } from "./handles.js";
import { closeFd } from "./handles.js";
import type { MapPointer, ProgramPointer } from "./libbpf.js";
import { libbpf, libbpfError } from "./libbpf.js";
import { checkMap, kernelFlags } from "./map-layout.js";
import { openPin } from "./pin.js";

function check(call: string, what: string, result: number): void {
  if (result >= 0) return;
  throw datapathError("SLUICE_OBJECT_STATE", `cannot change ${what}`, {
    cause: libbpfError(call, result),
    remedy: "Change an object between open and load",
  });
}

/** Gives the pointer, or throws when the object is closed or being loaded by another thread. */
export type Guarded<P> = () => P;

/** One program of an open object; what it loads as is chosen here, before the load. */
export class ObjectProgram {
  readonly name: string;
  /** Section of the object file, such as `xdp`. */
  readonly section: string;
  readonly #pointer: Guarded<ProgramPointer>;

  constructor(pointer: Guarded<ProgramPointer>) {
    this.#pointer = pointer;
    this.name = libbpf().bpf_program__name(pointer());
    this.section = libbpf().bpf_program__section_name(pointer());
  }

  /** `BPF_PROG_TYPE_…` by number, which libbpf takes from the section name; 0 when unknown. */
  get type(): number {
    return libbpf().bpf_program__type(this.#pointer());
  }

  /** Instructions in the file; the linked subprograms are added at load. */
  get instructionCount(): number {
    return libbpf().bpf_program__insn_cnt(this.#pointer());
  }

  get autoload(): boolean {
    return libbpf().bpf_program__autoload(this.#pointer());
  }

  /** Whether `load` loads this program; all are by default, but those of unknown sections. */
  setAutoload(autoload: boolean): void {
    const result = libbpf().bpf_program__set_autoload(this.#pointer(), autoload);
    check("bpf_program__set_autoload", `program ${this.name}`, result);
  }

  /** Overrides what the section name says: `BPF_PROG_TYPE_…`, and `BPF_…` attach type if needed. */
  setType(type: number, attachType?: number): void {
    const bpf = libbpf();
    const result = bpf.bpf_program__set_type(this.#pointer(), type);
    check("bpf_program__set_type", `the type of program ${this.name}`, result);
    if (attachType === undefined) return;
    const attached = bpf.bpf_program__set_expected_attach_type(this.#pointer(), attachType);
    check("bpf_program__set_expected_attach_type", `program ${this.name}`, attached);
  }

  /** The object's own descriptor, below 0 before the load; `BpfObject.takeProgram` gives one to keep. */
  get ownFd(): ProgramFd {
    return libbpf().bpf_program__fd(this.#pointer()) as ProgramFd;
  }
}

/** One map of an open object; its size and identity are chosen here, before the load. */
export class ObjectMap {
  /** Name in C; sections of globals are called like `uplink.rodata`. */
  readonly name: string;
  readonly #pointer: Guarded<MapPointer>;

  constructor(pointer: Guarded<MapPointer>) {
    this.#pointer = pointer;
    this.name = libbpf().bpf_map__name(pointer());
  }

  /** What `load` would create now. */
  get layout(): MapLayout {
    const bpf = libbpf();
    return {
      name: this.name,
      type: bpf.bpf_map__type(this.#pointer()),
      keySize: bpf.bpf_map__key_size(this.#pointer()),
      valueSize: bpf.bpf_map__value_size(this.#pointer()),
      maxEntries: bpf.bpf_map__max_entries(this.#pointer()),
      mapFlags: bpf.bpf_map__map_flags(this.#pointer()),
    };
  }

  /** Whether this is a section of global variables and not a map that the C file declares. */
  get isGlobals(): boolean {
    return libbpf().bpf_map__is_internal(this.#pointer());
  }

  setMaxEntries(maxEntries: number): void {
    const result = libbpf().bpf_map__set_max_entries(this.#pointer(), maxEntries);
    check("bpf_map__set_max_entries", `max_entries of map ${this.name}`, result);
  }

  /** Whether `load` creates this map; programs that use a map must not be loaded without it. */
  setAutocreate(autocreate: boolean): void {
    const result = libbpf().bpf_map__set_autocreate(this.#pointer(), autocreate);
    check("bpf_map__set_autocreate", `map ${this.name}`, result);
  }

  /**
   * Makes `load` open the pin if it is there, and pin the new map if not.
   *
   * @throws SluiceError SLUICE_MAP_LAYOUT, here or from `load`, when the pinned map is not like the declared one
   */
  setPinPath(path: string): void {
    // libbpf would refuse a device map that it pinned itself, for the flag that the kernel adds.
    if (kernelFlags(this.layout.type) !== 0 && existsSync(path)) {
      const pinned = openPin(path, "map");
      try {
        this.reuse(pinned);
      } finally {
        closeFd(pinned);
      }
      return;
    }
    const result = libbpf().bpf_map__set_pin_path(this.#pointer(), path);
    check("bpf_map__set_pin_path", `the pin of map ${this.name}`, result);
  }

  /**
   * Makes the programs use a map that exists. The descriptor stays the caller's.
   *
   * @throws SluiceError SLUICE_MAP_LAYOUT when the map is not like the declared one
   */
  reuse(fd: MapFd): void {
    checkMap(fd, this.layout, "SLUICE_MAP_LAYOUT");
    const result = libbpf().bpf_map__reuse_fd(this.#pointer(), fd);
    check("bpf_map__reuse_fd", `map ${this.name}`, result);
  }

  /** Gives a map of maps its template, when the C file does not. */
  setInnerMap(fd: MapFd): void {
    const result = libbpf().bpf_map__set_inner_map_fd(this.#pointer(), fd);
    check("bpf_map__set_inner_map_fd", `the inner map of ${this.name}`, result);
  }

  /**
   * The bytes that a section of globals starts with. Do not keep them past the load, which moves them.
   *
   * @throws SluiceError SLUICE_UNKNOWN_NAME when the map has no initial value
   */
  initialValue(): Uint8Array {
    const size = Buffer.alloc(8);
    const pointer = libbpf().bpf_map__initial_value(this.#pointer(), size);
    if (pointer === null) {
      throw datapathError("SLUICE_UNKNOWN_NAME", `map ${this.name} has no initial value`);
    }
    return new Uint8Array(koffi.view(pointer, Number(size.readBigUInt64LE())));
  }

  /** The object's own descriptor, below 0 before the load; `BpfObject.takeMap` gives one to keep. */
  get ownFd(): MapFd {
    return libbpf().bpf_map__fd(this.#pointer()) as MapFd;
  }
}
