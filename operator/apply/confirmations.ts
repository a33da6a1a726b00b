import { createHash } from "node:crypto";
import { connect } from "node:net";
import { SluiceError } from "../errors.js";
import type { XdpPolicyRecord } from "../model/records.js";
import { splitEndpoint } from "./fail-safe.js";
import { StateFile } from "./state-file.js";

type Outcome = "waiting" | "confirmed" | "rolled-back";

interface StoredConfirmation {
  readonly digest: string;
  readonly outcome: Outcome;
  readonly deadlineMs: number;
}

const PROBE_TIMEOUT_MS = 3000;

/**
 * Policies with `confirmWithin`: a version is on trial until a person confirms it, or until the deadline, when it
 * stays if all probes answer and goes otherwise. Outcomes are kept in a file: a crash must not renew a trial.
 */
export class Confirmations {
  readonly #file: StateFile<Readonly<Record<string, StoredConfirmation>>>;
  readonly #probes: readonly string[];
  readonly #known: Map<string, StoredConfirmation>;
  /** The version before the one on trial, while this process remembers it. */
  readonly #previous = new Map<string, XdpPolicyRecord>();
  readonly #inForce = new Map<string, XdpPolicyRecord>();

  constructor(stateFolder: string, probes: readonly string[]) {
    this.#file = new StateFile(stateFolder, "confirmations.json");
    this.#probes = probes;
    this.#known = new Map(Object.entries(this.#file.read() ?? {}));
  }

  /**
   * The version of a policy to put in force: the newest, the one before a rolled-back one, or none.
   */
  version(newest: XdpPolicyRecord, nowMs: number): XdpPolicyRecord | undefined {
    const { name, confirmWithinMs } = newest;
    if (confirmWithinMs === undefined) {
      if (this.#known.delete(name)) this.#save();
      this.#inForce.set(name, newest);
      return newest;
    }
    const digest = digestOf(newest);
    const known = this.#known.get(name);
    if (known?.digest !== digest) {
      const before = this.#inForce.get(name);
      if (before !== undefined) this.#previous.set(name, before);
      else this.#previous.delete(name);
      this.#set(name, { digest, outcome: "waiting", deadlineMs: nowMs + confirmWithinMs });
    } else if (known.outcome === "rolled-back") {
      return this.#previous.get(name);
    }
    this.#inForce.set(name, newest);
    return newest;
  }

  forget(names: ReadonlySet<string>): void {
    let changed = false;
    for (const name of this.#known.keys()) {
      if (!names.has(name)) changed = this.#known.delete(name) || changed;
    }
    for (const name of this.#inForce.keys()) {
      if (names.has(name)) continue;
      this.#inForce.delete(name);
      this.#previous.delete(name);
    }
    if (changed) this.#save();
  }

  state(name: string): { readonly outcome: Outcome; readonly deadlineMs: number } | undefined {
    return this.#known.get(name);
  }

  /** @throws SluiceError SLUICE_NOTHING_TO_CONFIRM */
  confirm(name: string): void {
    const known = this.#known.get(name);
    if (known?.outcome !== "waiting") {
      throw new SluiceError(
        "SLUICE_NOTHING_TO_CONFIRM",
        `policy ${name} is not waiting for a confirmation`,
        { remedy: "sluicectl status lists the policies that are" },
      );
    }
    this.#set(name, { ...known, outcome: "confirmed" });
  }

  nextDeadlineMs(): number | undefined {
    const times = [...this.#known.values()]
      .filter(({ outcome }) => outcome === "waiting")
      .map(({ deadlineMs }) => deadlineMs);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Decides the trials whose time is up. @returns the names of policies that were rolled back */
  async settle(nowMs: number): Promise<readonly string[]> {
    const due = [...this.#known].filter(
      ([, { outcome, deadlineMs }]) => outcome === "waiting" && deadlineMs <= nowMs,
    );
    if (due.length === 0) return [];
    const answers = this.#probes.length > 0 && (await allAnswer(this.#probes));
    const rolledBack: string[] = [];
    for (const [name, trial] of due) {
      /* Confirmed, or replaced by a newer version, while the probes were under way. */
      if (this.#known.get(name) !== trial) continue;
      this.#set(name, { ...trial, outcome: answers ? "confirmed" : "rolled-back" });
      if (!answers) rolledBack.push(name);
    }
    return rolledBack;
  }

  #set(name: string, confirmation: StoredConfirmation): void {
    this.#known.set(name, confirmation);
    this.#save();
  }

  #save(): void {
    this.#file.write(Object.fromEntries(this.#known));
  }
}

function digestOf(policy: XdpPolicyRecord): string {
  const { origin: _origin, generation: _generation, ...content } = policy;
  const text = JSON.stringify(content, (_, value: unknown) =>
    typeof value === "bigint" ? value.toString() : value,
  );
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

async function allAnswer(endpoints: readonly string[]): Promise<boolean> {
  const answers = await Promise.all(endpoints.map((endpoint) => answersTcp(endpoint)));
  return answers.every(Boolean);
}

function answersTcp(endpoint: string): Promise<boolean> {
  const { address, port } = splitEndpoint(endpoint);
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: PROBE_TIMEOUT_MS });
    const finish = (answered: boolean) => {
      socket.destroy();
      resolve(answered);
    };
    socket.once("connect", () => finish(true));
    socket.once("timeout", () => finish(false));
    socket.once("error", () => finish(false));
  });
}
