import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { SluiceError } from "../../operator/errors.js";
import { atExit } from "../cleanup.js";
import { type Memory, readMemory } from "./memory.js";
import type { ProbeAnswer, ProbeFigures, ProbeRequest } from "./probe.js";

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
