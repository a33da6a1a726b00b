import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { SluiceError } from "../../operator/errors.js";
import { netnsPath } from "../../datapath/index.js";
import type { Cluster } from "../../test/support/cluster/cluster.js";
import { atExit } from "../cleanup.js";
import { type ReceiverAnswer, type SenderAnswer, monotonicMs } from "./drop-messages.js";

/** From a change of a policy to the first packet that is dropped by it, milliseconds. */
export interface DropDelays {
  /** From before the write. */
  readonly fromStartMs: number[];
  /** From the answer to the write; negative when the packet was dropped before the answer came. */
  readonly fromEndMs: number[];
}

const port = 9000;
const patienceMs = 10_000;
/** A gap of so long is the policy's. */
const silenceMs = 40;
const fewestMissed = 20;

/** A policy that lets datagrams pass or drops them. */
export interface DropPolicy {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly path: string;
  spec(action: "Drop" | "Pass"): object;
}

export interface DropEnd {
  /** Name of its network namespace; undefined: that of this process. */
  readonly namespace?: string;
  readonly address: string;
}

/** Puts a policy in force and takes it back, again and again, under a stream of datagrams. */
export class DropMeter {
  readonly #cluster: Cluster;
  readonly #policy: DropPolicy;
  readonly #sender: ChildProcess;
  readonly #receiver: ChildProcess;

  constructor(cluster: Cluster, policy: DropPolicy, from: DropEnd, to: DropEnd) {
    this.#cluster = cluster;
    this.#policy = policy;
    this.#receiver = startProcess(to, "drop-receiver.js", to.address, String(port));
    this.#sender = startProcess(from, "drop-sender.js", from.address, to.address, String(port));
  }

  /** @param via how the policy is written */
  async measure(
    via: "PATCH" | "kubectl apply",
    changes: number,
    progress: (text: string) => void,
  ): Promise<DropDelays> {
    const delays: DropDelays = { fromStartMs: [], fromEndMs: [] };
    await this.#cluster.apply(this.#object("Pass"));
    for (let change = 0; change < changes; change++) {
      if (change % 50 === 0) progress(`${via}, change ${change + 1} of ${changes}`);
      await this.#untilFlowing();
      // In no step with anything that the agent does by a clock.
      await sleep(50 + Math.random() * 100);
      const startMs = monotonicMs();
      await this.#write(via, "Drop");
      const endMs = monotonicMs();
      const first = await this.#untilSilent();
      const { timeMs } = await ask<SenderAnswer>(this.#sender, { number: first });
      delays.fromStartMs.push(timeMs - startMs);
      delays.fromEndMs.push(timeMs - endMs);
      await this.#write("PATCH", "Pass");
      await this.#untilFlowing();
      const { missedFrom } = await ask<ReceiverAnswer>(this.#receiver, {});
      if (missedFrom !== first) throw failure("datagrams were lost for another reason");
    }
    return delays;
  }

  end(): void {
    this.#sender.disconnect();
    this.#receiver.disconnect();
  }

  async #write(via: "PATCH" | "kubectl apply", action: "Drop" | "Pass"): Promise<void> {
    if (via === "kubectl apply") {
      const input = JSON.stringify(this.#object(action));
      await this.#cluster.kubectl(["apply", "-f", "-"], { input });
    } else {
      await this.#cluster.request({
        method: "PATCH",
        path: this.#policy.path,
        contentType: "application/merge-patch+json",
        body: { spec: this.#policy.spec(action) },
      });
    }
  }

  #object(action: "Drop" | "Pass") {
    const { apiVersion, kind, namespace, name } = this.#policy;
    const metadata = namespace === undefined ? { name } : { namespace, name };
    return { apiVersion, kind, metadata, spec: this.#policy.spec(action) };
  }

  async #untilFlowing(): Promise<void> {
    for (const end = monotonicMs() + patienceMs; monotonicMs() < end; await sleep(2)) {
      const { last, silentMs } = await ask<ReceiverAnswer>(this.#receiver, {});
      if (last >= 0 && silentMs < 5) return;
    }
    throw failure("no datagram comes");
  }

  /** Resolves with the number of the first datagram that did not come. */
  async #untilSilent(): Promise<number> {
    for (const end = monotonicMs() + patienceMs; monotonicMs() < end; await sleep(5)) {
      const { last, silentMs } = await ask<ReceiverAnswer>(this.#receiver, {});
      if (silentMs < silenceMs) continue;
      const { sent } = await ask<SenderAnswer>(this.#sender, { number: last + 1 });
      if (sent > last + fewestMissed) return last + 1;
    }
    throw failure("datagrams come in spite of the policy");
  }
}

function startProcess({ namespace }: DropEnd, script: string, ...args: readonly string[]) {
  const wrapper = namespace === undefined ? [] : ["nsenter", `--net=${netnsPath(namespace)}`];
  const path = fileURLToPath(new URL(script, import.meta.url));
  const words = ["--pdeathsig", "KILL", ...wrapper, process.execPath, path, ...args];
  const child = spawn("setpriv", words, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const stop = atExit(() => child.kill("SIGKILL"));
  child.once("exit", stop);
  return child;
}

async function ask<T>(child: ChildProcess, request: object): Promise<T> {
  const answered = once(child, "message");
  child.send(request);
  const [answer] = (await answered) as [T];
  return answer;
}

function failure(problem: string): SluiceError {
  return new SluiceError("SLUICE_BENCH", problem, { remedy: "Read what the agent said above" });
}
