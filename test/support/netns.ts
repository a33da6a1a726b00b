import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { netnsPath, withNetns } from "../../datapath/netns.js";
import { ifIndex } from "../../datapath/handles.js";
import type { IfIndex } from "../../datapath/handles.js";
import { interfaceByName } from "../../datapath/netlink.js";

const prefix = "slt-";

/** A network namespace of a test. */
export interface Namespace {
  /** As `ip netns` knows it. */
  readonly name: string;
  readonly path: string;
  /** Runs a program inside, with the bpffs of the host; returns its stdout. Throws unless it exits with 0. */
  run(program: string, ...args: readonly string[]): string;
  /** Runs synchronous code of this process inside. */
  enter<T>(work: () => T): T;
  /** Number of an interface inside. */
  indexOf(interfaceName: string): IfIndex;
}

/** One end of a veth pair. */
export interface VethEnd {
  readonly namespace: Namespace;
  /** At most 15 characters. */
  readonly name: string;
  /** With prefix length: `192.0.2.1/24`, `2001:db8::1/64`. */
  readonly addresses?: readonly string[];
  readonly mac?: string;
  readonly mtu?: number;
  /** Receive and transmit queues. */
  readonly queues?: number;
}

/** What a test builds; all of it goes when the test ends. */
export interface Lab {
  /** A new namespace with its loopback up; the label makes the name readable. */
  namespace(label: string): Namespace;
  /** A wire between two namespaces, both ends up. Returns the interface numbers. */
  veth(left: VethEnd, right: VethEnd): readonly [left: IfIndex, right: IfIndex];
  /** A new folder in the bpffs. */
  pinFolder(): string;
  /** Runs at the end, last added first, also when the test fails. */
  onCleanup(work: () => void | Promise<void>): void;
}

let count = 0;

/**
 * Gives a test a {@link Lab} and takes all of it down afterwards, however the test ends.
 *
 * @example await withNamespaces(async (lab) => { const node = lab.namespace("node"); … });
 */
export async function withNamespaces(body: (lab: Lab) => void | Promise<void>): Promise<void> {
  sweep();
  const cleanups: (() => void | Promise<void>)[] = [];
  const onCleanup = (work: () => void | Promise<void>) => void cleanups.push(work);
  const failures: unknown[] = [];
  try {
    await body({
      onCleanup,
      namespace: (label) => createNamespace(label, onCleanup),
      veth: (left, right) => createVeth(left, right),
      pinFolder: () => createPinFolder(onCleanup),
    });
  } catch (error) {
    failures.push(error);
  }
  for (const cleanup of cleanups.reverse()) {
    try {
      await cleanup();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 1) throw new AggregateError(failures, "a test and its cleanup failed");
  if (failures.length === 1) throw failures[0];
}

function ip(...args: readonly string[]): string {
  return execFileSync("ip", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

export function createNamespace(label: string, onCleanup: Lab["onCleanup"]): Namespace {
  const name = `${prefix}${process.pid}-${++count}-${label}`;
  const path = netnsPath(name);
  ip("netns", "add", name);
  deleteAtExit.add(name);
  onCleanup(() => {
    ip("netns", "delete", name);
    deleteAtExit.delete(name);
  });
  const namespace: Namespace = {
    name,
    path,
    run: (program, ...args) =>
      // Not "ip netns exec", which mounts a new /sys and so hides the bpffs.
      execFileSync("nsenter", [`--net=${path}`, program, ...args], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
      }),
    enter: (work) => withNetns(path, work),
    indexOf(interfaceName) {
      const found = namespace.enter(() => interfaceByName(interfaceName));
      if (found === undefined) throw new Error(`${name} has no interface ${interfaceName}`);
      return ifIndex(found.index);
    },
  };
  namespace.enter(() => {
    // Addresses are usable at once, instead of after a second of duplicate address detection.
    writeFileSync("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
    writeFileSync("/proc/sys/net/ipv6/conf/all/accept_dad", "0");
  });
  ip("-n", name, "link", "set", "lo", "up");
  return namespace;
}

function createVeth(left: VethEnd, right: VethEnd): readonly [IfIndex, IfIndex] {
  const end = ({ namespace, name, mac, mtu, queues }: VethEnd) => [
    "name",
    name,
    "netns",
    namespace.name,
    ...(mac === undefined ? [] : ["address", mac]),
    ...(mtu === undefined ? [] : ["mtu", String(mtu)]),
    ...(queues === undefined ? [] : ["numrxqueues", String(queues), "numtxqueues", String(queues)]),
  ];
  ip("link", "add", ...end(left), "type", "veth", "peer", ...end(right));
  for (const { namespace, name, addresses = [] } of [left, right]) {
    for (const address of addresses) {
      const nodad = address.includes(":") ? ["nodad"] : [];
      ip("-n", namespace.name, "address", "add", address, "dev", name, ...nodad);
    }
    ip("-n", namespace.name, "link", "set", name, "up");
  }
  return [left.namespace.indexOf(left.name), right.namespace.indexOf(right.name)];
}

function createPinFolder(onCleanup: Lab["onCleanup"]): string {
  const folder = `/sys/fs/bpf/${prefix}${process.pid}-${++count}`;
  mkdirSync(folder, { mode: 0o700 });
  foldersAtExit.add(folder);
  onCleanup(() => {
    rmSync(folder, { recursive: true, force: true });
    foldersAtExit.delete(folder);
  });
  return folder;
}

const deleteAtExit = new Set<string>();
const foldersAtExit = new Set<string>();

/** The last resort, for a test that was ended from outside while its lab stood. */
process.once("exit", () => {
  for (const name of deleteAtExit) ip("netns", "delete", name);
  for (const folder of foldersAtExit) rmSync(folder, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

let isSwept = false;

/** Removes what a killed test process could not: anything that names a process which is gone. */
function sweep(): void {
  if (isSwept) return;
  isSwept = true;
  const isLeft = (name: string) => {
    const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1];
    return pid !== undefined && !existsSync(`/proc/${pid}`);
  };
  for (const folder of ["/run/netns", "/sys/fs/bpf"]) {
    for (const name of existsSync(folder) ? readdirSync(folder).filter(isLeft) : []) {
      if (folder === "/run/netns") ip("netns", "delete", name);
      else rmSync(`${folder}/${name}`, { recursive: true, force: true });
    }
  }
}
