import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type IfIndex, interfaceByName, netnsPath, withNetns } from "../../datapath/index.js";
import { SluiceError } from "../../operator/errors.js";
import { macB } from "../../test/support/packets.js";
import { makeNamespace } from "../cleanup.js";

/** What the receiver did so far. */
export interface Received {
  /** Packets that its NAPI thread took from the ring, and nanoseconds of CPU that this thread used. */
  readonly packets: number;
  readonly cpuNs: number;
}

/** A veth pair whose receiving end is alone in its namespace and has its own NAPI thread. */
export interface Wire {
  readonly senderIndex: IfIndex;
  readonly receiver: { readonly namespace: string; readonly name: string; readonly index: IfIndex };
  /** Runs a program in the receiver's namespace with the bpffs of the host; returns its output. */
  run(program: string, ...args: readonly string[]): string;
  received(): Received;
}

const threadTimeoutMs = 5000;

/** @param cpu the CPU of the receiving thread */
export async function makeWire(sender: string, number: number, cpu: number): Promise<Wire> {
  const namespace = makeNamespace(`rx${number}`);
  /* Threads are found by the name of their interface, so it must be the only one on this machine. */
  const name = `slb${process.pid}r${number}`;
  const senderName = `tx${number}`;
  const ends = [senderName, "netns", sender, "type", "veth", "peer", name];
  ip("link", "add", ...ends, "netns", namespace, "address", macB, "numrxqueues", "1");
  ip("-n", sender, "link", "set", senderName, "up");
  ip("-n", namespace, "link", "set", name, "up");
  const run = (program: string, ...args: readonly string[]) =>
    execFileSync("nsenter", [`--net=${netnsPath(namespace)}`, program, ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      maxBuffer: 2 ** 28,
    });
  /* A veth end without XDP has NAPI only with GRO. */
  run("ethtool", "-K", name, "gro", "on");
  /* "ip netns exec" mounts the /sys of the namespace. */
  const threaded = `echo 1 > /sys/class/net/${name}/threaded`;
  execFileSync("ip", ["netns", "exec", namespace, "sh", "-c", threaded]);
  return {
    senderIndex: indexOf(sender, senderName),
    receiver: { namespace, name, index: indexOf(namespace, name) },
    run,
    received: receiver(await pinThread(name, cpu), () => run("ethtool", "-S", name)),
  };
}

function receiver(thread: number, statistics: () => string): () => Received {
  return () => {
    const packets = /rx_queue_0_xdp_packets: (\d+)/.exec(statistics())?.[1];
    const cpuNs = readFileSync(`/proc/${thread}/schedstat`, "utf8").split(" ")[0];
    return { packets: Number(packets), cpuNs: Number(cpuNs) };
  };
}

/** Keeps the NAPI thread of an interface on one CPU; returns its process number. */
async function pinThread(name: string, cpu: number): Promise<number> {
  for (const end = performance.now() + threadTimeoutMs; performance.now() < end; ) {
    const thread = findThread(`napi/${name}-`);
    if (thread !== undefined) {
      execFileSync("taskset", ["--cpu-list", "--pid", String(cpu), String(thread)], {
        stdio: "ignore",
      });
      return thread;
    }
    await sleep(50);
  }
  throw new SluiceError("SLUICE_BENCH", `${name} got no NAPI thread`, {
    remedy: "Use kernel 5.12 or later",
  });
}

function findThread(prefix: string): number | undefined {
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      if (readFileSync(`/proc/${entry}/comm`, "utf8").startsWith(prefix)) return Number(entry);
    } catch {
      /* A process that has just ended. */
    }
  }
  return undefined;
}

function indexOf(namespace: string, name: string): IfIndex {
  const found = withNetns(netnsPath(namespace), () => interfaceByName(name));
  if (found === undefined) {
    throw new SluiceError("SLUICE_BENCH", `${namespace} has no interface ${name}`);
  }
  return found.index;
}

function ip(...args: readonly string[]): void {
  execFileSync("ip", args);
}
