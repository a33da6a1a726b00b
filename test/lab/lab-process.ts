import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readlinkSync, statSync } from "node:fs";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { netnsPath } from "../../datapath/netns.js";
import { labPrefix } from "../../operator/lab/lab-folder.js";
import { listNamespaces } from "../../operator/lab/topology.js";

const main = fileURLToPath(new URL("../../operator/lab/main.js", import.meta.url));

/** A lab in a process of its own, as `npm start` runs it. */
export interface LabRun {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly output: () => string;
  /** Resolves when the output holds the text; rejects when the lab ends before, or after 30 s. */
  readonly says: (text: string) => Promise<void>;
  /** How it ended: the exit status, or the signal. */
  readonly exited: Promise<number | NodeJS.Signals | null>;
}

/** Starts a lab, which is ended with the test at the latest. */
export function runLab(t: TestContext, args: readonly string[]): LabRun {
  const child = spawn(process.execPath, ["--enable-source-maps", main, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      child.emit("output");
    });
  }
  const exited = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.on("close", (status, signal) => resolve(signal ?? status));
  });
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    await exited;
  });
  return {
    child,
    pid: child.pid ?? 0,
    output: () => output,
    exited,
    says: (text) =>
      new Promise((resolve, reject) => {
        const fail = (why: string) => reject(new Error(`no "${text}" ${why}:\n${output}`));
        const timer = setTimeout(() => fail("in 30 s"), 30_000);
        const look = () => {
          if (!output.includes(text)) return;
          clearTimeout(timer);
          resolve();
        };
        child.on("output", look);
        child.on("close", () => {
          clearTimeout(timer);
          fail("before the end");
        });
        look();
      }),
  };
}

/** Numbers of a running lab's network namespaces, to find later what still lives in them. */
export function namespaceNumbers(pid: number): readonly number[] {
  return namespacesOfLab(pid).map((name) => statSync(netnsPath(name)).ino);
}

/**
 * All that a lab has left on this machine, in words; empty when there is nothing.
 *
 * @param numbers of its namespaces, from {@link namespaceNumbers}
 */
export function tracesOf(pid: number, numbers: readonly number[]): readonly string[] {
  const folders = [`/run/sluice-lab/${pid}`, `/sys/fs/bpf/${labPrefix(pid)}`];
  const links = new Set(numbers.map((number) => `net:[${number}]`));
  const processes = readdirSync("/proc").filter((name) => links.has(networkOf(name)));
  return [
    ...folders.filter((path) => existsSync(path)),
    ...namespacesOfLab(pid),
    ...processes.map((name) => `process ${name}`),
  ];
}

function namespacesOfLab(pid: number): readonly string[] {
  return listNamespaces().filter((name) => name.startsWith(`${labPrefix(pid)}-`));
}

/** `net:[NUMBER]` of a process; empty for what is none, and for one that has just ended. */
function networkOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return "";
  }
}
