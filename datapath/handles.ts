import { closeSync } from "node:fs";

declare const brand: unique symbol;
type Branded<Base, Tag extends string> = Base & { readonly [brand]: Tag };

/** File descriptor of a BPF map. */
export type MapFd = Branded<number, "MapFd">;
/** File descriptor of a loaded BPF program. */
export type ProgramFd = Branded<number, "ProgramFd">;
/** File descriptor of a bpf_link. */
export type LinkFd = Branded<number, "LinkFd">;
/** Any of the descriptors that bpf(2) gives out. */
export type BpfFd = MapFd | ProgramFd | LinkFd;
/** Number of a network interface within its network namespace. */
export type IfIndex = Branded<number, "IfIndex">;

/** Number of a map in the kernel; stays valid across processes while the map lives. */
export type MapId = Branded<number, "MapId">;
/** Number of a program in the kernel. */
export type ProgramId = Branded<number, "ProgramId">;
/** Number of a link in the kernel. */
export type LinkId = Branded<number, "LinkId">;

/** A C pointer. It carries no type at run time, so the tag is what keeps two kinds apart. */
export type Pointer<Tag extends string> = Branded<bigint, Tag>;

/** Marks a number from outside (a command line, netlink) as an interface number. */
export function ifIndex(value: number): IfIndex {
  if (!Number.isInteger(value) || value <= 0) {
    throw new RangeError(`an interface number is a positive integer, not ${value}`);
  }
  return value as IfIndex;
}

/** Closes a descriptor of this process. */
export function closeFd(fd: BpfFd): void {
  closeSync(fd);
}
