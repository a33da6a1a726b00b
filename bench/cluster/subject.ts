import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { SluiceError } from "../../operator/errors.js";
import { atExit } from "../cleanup.js";
import type { ProbeAnswer, ProbeFigures, ProbeRequest } from "./probe.js";

/** Of a process, MiB. */
export interface Memory {
  /** The most that was resident at any time. */
  readonly peakMiB: number;
  readonly residentMiB: number;
  /** Of its own: heap, buffers, stacks. */
  readonly anonMiB: number;
  /** Of files: the program, libraries, and mapped tables. */
  readonly fileMiB: number;
  /** BPF tables that are mapped: the kernel's, whether they are mapped or not. */
  readonly tablesMiB: number;
}

/** A process that is measured, with a probe in it. */
export interface Subject {
  readonly pid: number;
  ask(request: ProbeRequest): Promise<ProbeFigures>;
  memory(): Memory;
  end(): Promise<void>;
}

export interface SubjectCommand {
  /** Compiled script beside this one. */
  readonly script: string;
  readonly args: readonly string[];
  readonly nodeFlags?: readonly string[];
  /** Words in front of the command: `nsenter …`. */
  readonly wrapper?: readonly string[];
}

export function startSubject(command: SubjectCommand): Subject {
  const { script, args, nodeFlags = [], wrapper = [] } = command;
  const path = fileURLToPath(new URL(script, import.meta.url));
  const words = [...wrapper, process.execPath, "--expose-gc", ...nodeFlags, path, ...args];
  const child = spawn("setpriv", ["--pdeathsig", "KILL", ...words], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const stop = atExit(() => child.kill("SIGKILL"));
  const exited = new Promise<void>((resolve) => {
    child.once("exit", () => {
      stop();
      resolve();
    });
  });
  const pid = child.pid!;
  return {
    pid,
    ask: (request) =>
      new Promise((resolve, reject) => {
        const fail = (why: string) => {
          const problem = `${script} failed: ${why}`;
          reject(new SluiceError("SLUICE_BENCH", problem, { remedy: "Read what it said above" }));
        };
        const onExit = () => fail("it ended");
        child.once("exit", onExit);
        child.once("message", (answer: ProbeAnswer) => {
          child.off("exit", onExit);
          if ("failure" in answer) fail(answer.failure);
          else resolve(answer);
        });
        child.send(request);
      }),
    memory: () =>
      readMemory(
        readFileSync(`/proc/${pid}/status`, "utf8"),
        readFileSync(`/proc/${pid}/smaps`, "utf8"),
      ),
    async end() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/**
 * @param status text of /proc/PID/status
 * @param smaps text of /proc/PID/smaps
 */
export function readMemory(status: string, smaps: string): Memory {
  const mebibytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(status)?.[1]) / 1024;
  const tables = smaps.matchAll(/ anon_inode:bpf-map\n(?:\w+:.*\n)*?Rss: +(\d+) kB/g);
  return {
    peakMiB: mebibytes("VmHWM"),
    residentMiB: mebibytes("VmRSS"),
    anonMiB: mebibytes("RssAnon"),
    fileMiB: mebibytes("RssFile"),
    tablesMiB: [...tables].reduce((sum, [, kibibytes]) => sum + Number(kibibytes), 0) / 1024,
  };
}
