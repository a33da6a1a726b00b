import type { BlockedState } from "../api/engine.js";
import { formatCidr } from "../model/cidr-format.js";
import { parseCidr } from "../model/cidr.js";
import type { Cidr, RuleRecord } from "../model/records.js";
import { StateFile } from "./state-file.js";

interface StoredBlock {
  readonly cidr: string;
  readonly untilMs?: number;
}

const BLOCKED_RULE = "blocked";
const BARE_OR_CIDR = { bareAddress: true, everything: false };

/** Addresses that `sluicectl block` drops on this node; kept in a file, because they come from no manifest. */
export class BlockList {
  readonly #file: StateFile<readonly StoredBlock[]>;
  readonly #blocks = new Map<string, { readonly cidr: Cidr; readonly untilMs?: number }>();

  constructor(stateFolder: string) {
    this.#file = new StateFile(stateFolder, "blocked.json");
    for (const { cidr, untilMs } of this.#file.read() ?? []) {
      this.#blocks.set(cidr, {
        cidr: parseCidr(cidr, BARE_OR_CIDR),
        ...(untilMs !== undefined && { untilMs }),
      });
    }
  }

  /** @throws SluiceError SLUICE_CIDR */
  add(text: string, forMs: number | undefined, nowMs: number): BlockedState {
    const cidr = parseCidr(text, BARE_OR_CIDR);
    const name = formatCidr(cidr);
    this.#blocks.set(name, { cidr, ...(forMs !== undefined && { untilMs: nowMs + forMs }) });
    this.#save();
    return this.list(nowMs).find((blocked) => blocked.cidr === name)!;
  }

  /** False when it was not blocked. @throws SluiceError SLUICE_CIDR */
  remove(text: string): boolean {
    const removed = this.#blocks.delete(formatCidr(parseCidr(text, BARE_OR_CIDR)));
    if (removed) this.#save();
    return removed;
  }

  list(nowMs: number): readonly BlockedState[] {
    this.#dropExpired(nowMs);
    return [...this.#blocks].map(([cidr, { untilMs }]) => ({
      cidr,
      ...(untilMs !== undefined && { until: new Date(untilMs).toISOString() }),
    }));
  }

  nextExpiryMs(): number | undefined {
    const times = [...this.#blocks.values()].flatMap(({ untilMs }) => untilMs ?? []);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** The rule of the built-in policy `node-local`; none while nothing is blocked. */
  rules(nowMs: number): readonly RuleRecord[] {
    this.#dropExpired(nowMs);
    if (this.#blocks.size === 0) return [];
    return [
      {
        name: BLOCKED_RULE,
        action: { kind: "Drop" },
        from: [...this.#blocks.values()].map(({ cidr }) => ({ kind: "cidr", cidr, except: [] })),
        to: [],
        protocols: [],
        traits: [],
        logOneIn: 0,
      },
    ];
  }

  #dropExpired(nowMs: number): void {
    let dropped = false;
    for (const [name, { untilMs }] of this.#blocks) {
      if (untilMs !== undefined && untilMs <= nowMs) dropped = this.#blocks.delete(name);
    }
    if (dropped) this.#save();
  }

  #save(): void {
    this.#file.write(
      [...this.#blocks].map(([cidr, { untilMs }]) => ({
        cidr,
        ...(untilMs !== undefined && { untilMs }),
      })),
    );
  }
}
