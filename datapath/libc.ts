import koffi from "koffi";
import type { KoffiFunc } from "koffi";
import { SystemError } from "./errors.js";
import type { Pointer } from "./handles.js";

/** An address that mmap gave out. */
export type Address = Pointer<"memory">;

interface LibcFunctions {
  mmap(
    address: Address | null,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ): Address;
  munmap(address: Address, length: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  flock(fd: number, operation: number): number;
  setns(fd: number, type: number): number;
  mount(source: string, target: string, type: string, flags: number, data: string): number;
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  getsockname(fd: number, address: Uint8Array, length: Uint8Array): number;
  setsockopt(fd: number, level: number, name: number, value: Uint8Array, length: number): number;
  send(fd: number, data: Uint8Array, length: number, flags: number): number;
  recv(fd: number, data: Uint8Array, length: number, flags: number): number;
  getpagesize(): number;
  vsnprintf(target: Uint8Array, size: number, format: bigint, list: bigint): number;
}

const prototypes: Record<keyof LibcFunctions, string> = {
  mmap: "void *mmap(void *addr, size_t length, int prot, int flags, int fd, long offset)",
  munmap: "int munmap(void *addr, size_t length)",
  // The third argument is variadic in C; passing it as a fixed one is the same call on LP64 Linux.
  fcntl: "int fcntl(int fd, int cmd, long arg)",
  flock: "int flock(int fd, int operation)",
  setns: "int setns(int fd, int nstype)",
  mount:
    "int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)",
  socket: "int socket(int domain, int type, int protocol)",
  bind: "int bind(int fd, const void *addr, uint32_t len)",
  getsockname: "int getsockname(int fd, void *addr, void *len)",
  setsockopt: "int setsockopt(int fd, int level, int name, const void *value, uint32_t len)",
  send: "long send(int fd, const void *data, size_t len, int flags)",
  recv: "long recv(int fd, void *data, size_t len, int flags)",
  getpagesize: "int getpagesize(void)",
  vsnprintf: "int vsnprintf(void *str, size_t size, const void *format, void *ap)",
};

type Libc = { readonly [K in keyof LibcFunctions]: KoffiFunc<LibcFunctions[K]> };

let bound: Libc | undefined;

/** The C library, with the calls that Node has no function for. */
export function libc(): Libc {
  if (bound === undefined) {
    const library = koffi.load(null);
    bound = Object.fromEntries(
      Object.entries(prototypes).map(([name, prototype]) => [name, library.func(prototype)]),
    ) as unknown as Libc;
  }
  return bound;
}

/**
 * Error of the C library call that just failed. Call it before anything else: any file system call
 * of Node overwrites errno.
 */
export function lastError(syscall: string): SystemError {
  return new SystemError(syscall, koffi.errno());
}

/** The address that mmap returns for a failure. */
export const mapFailed = 0xffff_ffff_ffff_ffffn;

/** From <bits/mman.h>; the same on x86-64, arm64 and riscv64. */
export const Mman = {
  PROT_READ: 1,
  PROT_WRITE: 2,
  MAP_SHARED: 0x01,
  MAP_PRIVATE: 0x02,
  MAP_FIXED: 0x10,
  MAP_ANONYMOUS: 0x20,
  MAP_NORESERVE: 0x4000,
} as const;
