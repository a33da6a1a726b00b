import { getSystemErrorMap } from "node:util";

/** Stable name of one kind of failure; tools and tests match on it, people read the message. */
export type SluiceErrorCode = `SLUICE_${string}`;

export interface SluiceErrorOptions {
  /** What the reader should do next; becomes the last sentence of the message. */
  readonly remedy?: string | undefined;
  readonly cause?: unknown;
}

/**
 * The one error type of Sluice. The message says what was tried, on what, why it failed and what to
 * do next; `problem` and `remedy` are the same words apart, for output that sets them apart.
 */
export class SluiceError extends Error {
  override readonly name = "SluiceError";
  readonly code: SluiceErrorCode;
  readonly problem: string;
  readonly remedy: string | undefined;

  constructor(code: SluiceErrorCode, problem: string, options: SluiceErrorOptions = {}) {
    const { remedy, cause } = options;
    // A problem that quotes lines of another program ends with a line of its own.
    const end = problem.endsWith("\n") ? "" : ". ";
    super(
      remedy === undefined ? problem : `${problem}${end}${remedy}`,
      cause === undefined ? undefined : { cause },
    );
    this.code = code;
    this.problem = problem;
    this.remedy = remedy;
  }
}

/** What each code of the data path means, and what to do when the thrower knows nothing better. */
const datapathCodes = {
  SLUICE_LIBBPF_MISSING: "Install libbpf 1.1 or later (Debian and Ubuntu: apt install libbpf1)",
  SLUICE_LIBBPF_TOO_OLD: "Install libbpf 1.1 or later (Debian and Ubuntu: apt install libbpf1)",
  SLUICE_LIBBPF_ABI:
    "This libbpf lays out its structures in another way than this build expects; report its version",
  SLUICE_NO_CAPABILITY:
    "Run as root, or with the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
  SLUICE_NO_BPFFS: "Mount one: mount -t bpf bpf /sys/fs/bpf",
  SLUICE_KERNEL_TOO_OLD: "Use kernel 5.15 or later; sluicectl doctor lists what is missing",
  SLUICE_OBJECT_MISSING: "Build the objects: npm run build",
  SLUICE_OBJECT_INVALID: "Compile it with clang -O2 -g -target bpf and canonical section names",
  SLUICE_OBJECT_STATE: "Call open, set, load, take, close in this order",
  SLUICE_LOAD_FAILED: "Read the lines of libbpf above; sluicectl doctor lists what is missing",
  SLUICE_VERIFIER_REFUSED: "Read the end of the log first: the last instruction is the refused one",
  SLUICE_UNKNOWN_NAME: "Use one of the names listed",
  SLUICE_BAD_VALUE: "Give a value that fits the C type",
  SLUICE_MAP_LAYOUT: "Remove the pin if its content is not needed, or use another folder",
  SLUICE_MAP_MISMATCH: "Build again, so that the objects and the layout are of one source",
  SLUICE_MAP_FULL: "Raise max_entries, or delete entries",
  SLUICE_MAP_OPERATION: "Check that the type of the map has this operation",
  SLUICE_MMAP_FAILED: "Create the map with BPF_F_MMAPABLE, and check the memory limits",
  SLUICE_CLOSED: "Close it after its last use",
  SLUICE_PIN_FAILED: "Check the path, and remove a pin of the same name",
  SLUICE_NO_INTERFACE: "List the interfaces of this network namespace: ip link",
  SLUICE_XDP_MODE_CONFLICT:
    "Detach the program that is attached in the other mode, or attach in that mode",
  SLUICE_XDP_FOREIGN_PROGRAM:
    "Detach it first (ip link set dev NAME xdp off), or skip the interface",
  SLUICE_XDP_NATIVE_UNSUPPORTED: "Use generic mode, or allow the fallback to it",
  SLUICE_XDP_OFFLOAD_UNSUPPORTED: "Use native or generic mode",
  SLUICE_MTU_TOO_LARGE:
    "Lower the MTU (3,498 fits all drivers with 4 KiB pages), or use generic mode",
  SLUICE_TCX_UNSUPPORTED: "Use kernel 6.6 or later, or the clsact fallback",
  SLUICE_ATTACH_FAILED:
    "Check that the program is of the type for this hook; sluicectl doctor lists the hooks there are",
  SLUICE_LINK_FAILED:
    "Check that what it is attached to still exists, and that the program is of the same type",
  SLUICE_LINK_STALE: "Another process replaced the program; read the link again before updating",
  SLUICE_TEST_RUN_FAILED: "Check the size of the packet and the context against the program type",
  SLUICE_RING_FAILED: "Check that the map is a ring buffer, and close the reader once only",
  SLUICE_NETLINK_FAILED: "Check that this process may open netlink sockets (seccomp, namespaces)",
  SLUICE_NETNS_FAILED: "Check that the namespace exists (ip netns) and that CAP_SYS_ADMIN is held",
  SLUICE_SYSCTL_FAILED:
    "Check the name (sysctl -a), and that /proc/sys is mounted writable and this process is root",
  SLUICE_SYSTEM_CALL: "Check the limits on memory and open files; sluicectl doctor shows the rest",
} as const satisfies Record<SluiceErrorCode, string>;

export type DatapathErrorCode = keyof typeof datapathCodes;

/** Makes a {@link SluiceError} whose remedy is that of the code, unless a better one is given. */
export function datapathError(
  code: DatapathErrorCode,
  problem: string,
  options: SluiceErrorOptions = {},
): SluiceError {
  return new SluiceError(code, problem, { remedy: datapathCodes[code], ...options });
}

/** An errno of the kernel, in the shape of Node's own system errors. */
export class SystemError extends Error {
  override readonly name = "SystemError";
  /** Positive, as in errno.h. */
  readonly errno: number;
  /** `EPERM`, `ENOENT`, … */
  readonly code: string;
  /** The C function that failed. */
  readonly syscall: string;

  constructor(syscall: string, errno: number) {
    super(`${syscall}: ${describeErrno(errno)}`);
    this.errno = errno;
    this.code = errnoName(errno);
    this.syscall = syscall;
  }
}

/** Errnos that the code compares with, by number of the generic Linux ABI (x86-64, arm64, riscv64). */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ENOSPC: 28,
  ERANGE: 34,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ENOBUFS: 105,
  EHOSTUNREACH: 113,
  ESTALE: 116,
  /** Internal to the kernel, but bpf(2) lets it out when a map type has no batch operations. */
  ENOTSUPP: 524,
} as const;

/** Errnos beyond those of the C library: one of the kernel's own, and those of libbpf. */
const otherErrnos: ReadonlyMap<number, readonly [name: string, meaning: string]> = new Map([
  [Errno.ENOTSUPP, ["ENOTSUPP", "operation is not supported"]],
  [4000, ["LIBBPF_ERRNO__LIBELF", "libelf failed"]],
  [4001, ["LIBBPF_ERRNO__FORMAT", "the format of the BPF object is invalid"]],
  [4002, ["LIBBPF_ERRNO__KVERSION", "the version section is missing or invalid"]],
  [4003, ["LIBBPF_ERRNO__ENDIAN", "the byte order is not that of this machine"]],
  [4004, ["LIBBPF_ERRNO__INTERNAL", "internal error of libbpf"]],
  [4005, ["LIBBPF_ERRNO__RELOC", "a relocation failed"]],
  [4006, ["LIBBPF_ERRNO__LOAD", "the kernel refused the program"]],
  [4007, ["LIBBPF_ERRNO__VERIFY", "the verifier refused the program"]],
  [4008, ["LIBBPF_ERRNO__PROG2BIG", "the program is too big"]],
]);

function knownErrno(errno: number): readonly [name: string, meaning: string] | undefined {
  return otherErrnos.get(errno) ?? getSystemErrorMap().get(-errno);
}

/** `ENOENT` for 2; `errno 9999` for a number that nobody knows. */
export function errnoName(errno: number): string {
  return knownErrno(errno)?.[0] ?? `errno ${errno}`;
}

/** `ENOENT (no such file or directory)` for 2. */
export function describeErrno(errno: number): string {
  const known = knownErrno(errno);
  return known === undefined ? `errno ${errno}` : `${known[0]} (${known[1]})`;
}
