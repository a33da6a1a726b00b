/** Sockets in the namespaces of pods: served and tried by one process, all at once. */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Family } from "../policy-oracle/address.js";
import type { Protocol } from "../policy-oracle/manifests.js";
import type { Lab } from "../support/netns.js";

const PROGRAM = fileURLToPath(new URL("../../bin/prober", import.meta.url));

export interface Probe {
  /** Pods by name. */
  readonly from: string;
  readonly to: string;
  readonly family: Family;
  readonly protocol: Protocol;
  readonly port: number;
  /** Waited for, and tried again. */
  readonly isExpected: boolean;
}

/** What came back: an answer, nothing, or an error. */
export type Outcome = "open" | "silent" | "refused";

const OUTCOMES: Readonly<Record<string, Outcome>> = { ".": "open", X: "silent", R: "refused" };

export interface Prober {
  /** Serves the ports of a pod from now on. */
  add(pod: string, netnsPath: string, ipv4: string, ipv6: string): Promise<void>;
  remove(pod: string): Promise<void>;
  /** Tries all at once; the outcomes are in the same order. */
  round(probes: readonly Probe[]): Promise<readonly Outcome[]>;
}

/** How long a probe that shall not come through is waited for at least: answers come in a few ms. */
const QUIET_MS = 80;
const PATIENCE_MS = 4000;

/** Ends with the lab. */
export function startProber(lab: Lab): Prober {
  const child = spawn("setpriv", ["--pdeathsig", "KILL", PROGRAM], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  lab.onCleanup(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const call = async (text: string): Promise<string> => {
    child.stdin.write(`${text}\n`);
    const line: IteratorResult<string, undefined> = await lines.next();
    if (line.value === undefined) throw new Error("the prober ended");
    return line.value;
  };
  const pods: (string | undefined)[] = [];
  const numberOf = (pod: string) => {
    const number = pods.indexOf(pod);
    if (number < 0) throw new Error(`the prober has no pod ${pod}`);
    return number;
  };
  return {
    async add(pod, netnsPath, ipv4, ipv6) {
      const free = pods.indexOf(undefined);
      const number = free < 0 ? pods.length : free;
      pods[number] = pod;
      await call(`pod ${number} ${netnsPath} ${ipv4} ${ipv6}`);
    },
    async remove(pod) {
      const number = numberOf(pod);
      pods[number] = undefined;
      await call(`gone ${number}`);
    },
    async round(probes) {
      const rows = probes.map(({ from, to, family, protocol, port, isExpected }) =>
        [
          ...[numberOf(from), numberOf(to), family, protocol.charAt(0), port],
          isExpected ? 1 : 0,
        ].join(" "),
      );
      const head = `round ${rows.length} ${QUIET_MS} ${PATIENCE_MS}`;
      const answer = await call([head, ...rows].join("\n"));
      return Array.from(answer, (letter) => OUTCOMES[letter]!);
    },
  };
}
