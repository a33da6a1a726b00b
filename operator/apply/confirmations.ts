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
  /** The version to go back to, as {@link encodePolicy} writes it; absent: none. */
  readonly previous?: string;
}

const PROBE_TIMEOUT_MS = 3000;

/**
 * Policies with `confirmWithin`: a version is on trial until a person confirms it, or until the deadline, when it
 * stays if all probes answer and goes otherwise. Trials are kept in a file: a crash must neither renew one nor forget
 * what it goes back to.
 */
export class Confirmations {
  readonly #file: StateFile<Readonly<Record<string, StoredConfirmation>>>;
  readonly #probes: readonly string[];
  readonly #known: Map<string, StoredConfirmation>;

  constructor(stateFolder: string, probes: readonly string[]) {
    this.#file = new StateFile(stateFolder, "confirmations.json");
    this.#probes = probes;
    this.#known = new Map(Object.entries(this.#file.read() ?? {}));
  }

  /**
   * Notes that a version is about to come into force: its trial begins, unless it is known. Written before the kernel
   * is, so that a crash between the two leaves no version in force without a deadline.
   *
   * @param before the version in force until now
   * @returns how to undo that, when it does not come into force after all
   */
  begin(policy: XdpPolicyRecord, before: XdpPolicyRecord | undefined, nowMs: number): () => void {
    const { name, confirmWithinMs } = policy;
    const known = this.#known.get(name);
    const undo = () => {
      if (known === undefined) this.#known.delete(name);
      else this.#known.set(name, known);
      this.#save();
    };
    if (confirmWithinMs === undefined) {
      if (!this.#known.delete(name)) return () => undefined;
      this.#save();
      return undo;
    }
    const digest = digestOf(policy);
    if (known?.digest === digest) return () => undefined;
    /* Of two versions in a row that nobody confirmed, neither is one to go back to. */
    const isProved = known === undefined || known.outcome === "confirmed";
    const previous = isProved ? before && encodePolicy(before) : known.previous;
    this.#set(name, {
      digest,
      outcome: "waiting",
      deadlineMs: nowMs + confirmWithinMs,
      ...(previous !== undefined && { previous }),
    });
    return undo;
  }

  /** Whether this very version was on trial and failed. */
  isRolledBack(policy: XdpPolicyRecord): boolean {
    return this.state(policy)?.outcome === "rolled-back";
  }

  /** The version to go back to when the one on trial fails. */
  previous(name: string): XdpPolicyRecord | undefined {
    const text = this.#known.get(name)?.previous;
    return text === undefined ? undefined : decodePolicy(text);
  }

  /** Forgets policies that are not among these. */
  retain(names: ReadonlySet<string>): void {
    let changed = false;
    for (const name of this.#known.keys()) {
      if (!names.has(name)) changed = this.#known.delete(name) || changed;
    }
    if (changed) this.#save();
  }

  /** The trial of this very version; undefined when it has none. */
  state(
    policy: XdpPolicyRecord,
  ): { readonly outcome: Outcome; readonly deadlineMs: number } | undefined {
    if (policy.confirmWithinMs === undefined) return undefined;
    const known = this.#known.get(policy.name);
    return known?.digest === digestOf(policy) ? known : undefined;
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
  return createHash("sha256").update(encodePolicy(content)).digest("hex").slice(0, 32);
}

/** JSON, in which a bigint is an object of its digits; no label can have such a key. */
function encodePolicy(policy: object): string {
  return JSON.stringify(policy, (_, value: unknown) =>
    typeof value === "bigint" ? { $bigint: value.toString() } : value,
  );
}

function decodePolicy(text: string): XdpPolicyRecord {
  return JSON.parse(text, (_, value: unknown) =>
    isEncodedBigint(value) ? BigInt(value.$bigint) : value,
  ) as XdpPolicyRecord;
}

function isEncodedBigint(value: unknown): value is { readonly $bigint: string } {
  return typeof value === "object" && value !== null && "$bigint" in value;
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
