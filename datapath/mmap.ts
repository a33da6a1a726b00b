import koffi from "koffi";
import { datapathError } from "./errors.js";
import type { MapFd } from "./handles.js";
import { mapInfo } from "./kernel-info.js";
import type { Address } from "./libc.js";
import { lastError, libc, mapFailed, Mman } from "./libc.js";
import { MapFlag } from "./map-create.js";
import { slotBytes } from "./per-cpu.js";

/** A piece of memory shared with the kernel; throws instead of giving out views after `close`. */
export interface Mapping {
  readonly buffer: ArrayBuffer;
  readonly length: number;
  close(): void;
}

/**
 * Maps the memory behind a descriptor.
 *
 * After `close`, a view that was kept shows zeros instead of the map: V8 cannot take an ArrayBuffer
 * over foreign memory back, and a read of unmapped memory would end the process.
 *
 * @param what for the error message
 * @throws SluiceError SLUICE_MMAP_FAILED
 */
export function mapMemory(
  fd: number,
  offset: number,
  length: number,
  isWritable: boolean,
  what: string,
): Mapping {
  const protection = isWritable ? Mman.PROT_READ | Mman.PROT_WRITE : Mman.PROT_READ;
  const address = libc().mmap(null, length, protection, Mman.MAP_SHARED, fd, offset);
  if (address === mapFailed) {
    const cause = lastError("mmap");
    throw datapathError("SLUICE_MMAP_FAILED", `cannot map ${length} bytes of ${what}`, { cause });
  }
  let buffer: ArrayBuffer | undefined = koffi.view(address, length);
  return {
    length,
    get buffer() {
      if (buffer !== undefined) return buffer;
      throw datapathError("SLUICE_CLOSED", `the memory of ${what} was used after its close`);
    },
    close() {
      if (buffer === undefined) return;
      buffer = undefined;
      replaceWithZeros(address, length);
    },
  };
}

function replaceWithZeros(address: Address, length: number): void {
  const flags = Mman.MAP_PRIVATE | Mman.MAP_ANONYMOUS | Mman.MAP_FIXED | Mman.MAP_NORESERVE;
  libc().mmap(address, length, Mman.PROT_READ | Mman.PROT_WRITE, flags, -1, 0);
}

/**
 * A `BPF_F_MMAPABLE` array, or a section of globals, as memory: reads and writes are those of a typed
 * array, without system calls, and programs see them at once. 32- and 64-bit stores are not torn;
 * use `Atomics` where the order of two stores matters.
 */
export class MappedArray {
  /** Elements of the map. */
  readonly length: number;
  /** Bytes of one value as C declares it. */
  readonly valueSize: number;
  /** Bytes from one element to the next: the kernel pads each to 8. */
  readonly stride: number;
  readonly #mapping: Mapping;
  readonly #bytes: Uint8Array;
  readonly #u32: Uint32Array;
  readonly #u64: BigUint64Array;
  readonly #view: DataView;
  #isOpen = true;

  /**
   * The descriptor stays the caller's and may be closed at once.
   *
   * @param access `read` for frozen maps and tools
   * @throws SluiceError SLUICE_MMAP_FAILED
   */
  constructor(fd: MapFd, access: "read" | "write" = "write") {
    const info = mapInfo(fd);
    if ((info.flags & MapFlag.mmapable) === 0) {
      throw datapathError("SLUICE_MMAP_FAILED", `map ${info.name} was not made BPF_F_MMAPABLE`);
    }
    this.length = info.maxEntries;
    this.valueSize = info.valueSize;
    this.stride = slotBytes(info.valueSize);
    const page = libc().getpagesize();
    const size = Math.ceil((this.length * this.stride) / page) * page;
    this.#mapping = mapMemory(fd, 0, size, access === "write", `map ${info.name}`);
    const { buffer } = this.#mapping;
    const used = this.length * this.stride;
    this.#bytes = new Uint8Array(buffer, 0, used);
    this.#u32 = new Uint32Array(buffer, 0, used / 4);
    this.#u64 = new BigUint64Array(buffer, 0, used / 8);
    this.#view = new DataView(buffer, 0, used);
  }

  /** All elements as bytes; element `i` starts at `i * stride`. */
  get bytes(): Uint8Array {
    return this.#open(this.#bytes);
  }

  /** All elements as 32-bit words; element `i` starts at `i * stride / 4`. */
  get u32(): Uint32Array {
    return this.#open(this.#u32);
  }

  /** All elements as 64-bit words; element `i` starts at `i * stride / 8`. */
  get u64(): BigUint64Array {
    return this.#open(this.#u64);
  }

  /** All elements for a codec; element `i` starts at `i * stride`. */
  get view(): DataView {
    return this.#open(this.#view);
  }

  /** Unmaps. Views taken before show zeros from now on, and writes to them go nowhere. */
  close(): void {
    this.#isOpen = false;
    this.#mapping.close();
  }

  #open<T>(value: T): T {
    if (this.#isOpen) return value;
    throw datapathError("SLUICE_CLOSED", "a mapped array was used after its close");
  }
}
