import type pino from "pino";
import type { KubeClient } from "../kube/client.js";
import { KubeError } from "../kube/errors.js";
import type { Clock } from "./clock.js";
import { type LeaseObject, LeaseRecord, leasePath } from "./lease-record.js";

/** As client-go's: a leader that cannot renew for 10 s stops, others wait 15 s. */
export const leaseTimes = { durationMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2000 } as const;

const { durationMs, renewDeadlineMs, retryMs } = leaseTimes;

export interface LeaseOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  /** Of this candidate alone, also among those of one node. */
  readonly identity: string;
  /** How many candidates there are about: they share the polling. */
  readonly candidateCount: () => number;
  /** Called with each term; the signal is aborted when it ends. */
  readonly lead: (signal: AbortSignal) => void;
  readonly clock: Clock;
  readonly log: pino.Logger;
}

/**
 * Stands for election on a Lease. Clocks of other machines are never trusted: a lease is taken from its holder only
 * when its record did not change for the lease duration by this candidate's own monotonic clock. `renewTime` only says
 * when a second look is worth while, so that a wrong clock costs requests and nothing else.
 */
export class LeaseCandidate {
  readonly #options: LeaseOptions;
  readonly #record: LeaseRecord;
  #term: AbortController | undefined;
  #cancelDeadline: () => void = () => {};
  #cancelPoll: () => void = () => {};
  #poll: Promise<void> = Promise.resolve();
  #isClosed = false;
  #hasFailed = false;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#record = new LeaseRecord(options.identity, options.clock);
  }

  get isLeading(): boolean {
    return this.#term !== undefined;
  }

  /** First look: at once where few ask, spread over the polling interval where many do. */
  start(): void {
    this.#schedule(this.#options.clock.random() * (this.#pollMs() - retryMs));
  }

  /** Stops leading, and gives the lease back so that the next leader need not wait. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelPoll();
    const wasLeading = this.isLeading;
    this.#endTerm("this agent ends");
    await this.#poll;
    const released = this.#record.released();
    if (!wasLeading || released === undefined) return;
    try {
      await this.#put(released);
    } catch (error) {
      this.#options.log.debug({ err: error }, "lease not released; it runs out by itself");
    }
  }

  #schedule(delayMs: number): void {
    if (this.#isClosed) return;
    this.#cancelPoll = this.#options.clock.after(delayMs, () => {
      this.#poll = this.#turn();
    });
  }

  async #turn(): Promise<void> {
    const { log } = this.#options;
    try {
      await (this.isLeading ? this.#renew() : this.#look());
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed) log.warn({ err: error }, "lease cannot be read or renewed; retrying");
      this.#hasFailed = true;
    }
    this.#schedule(this.#nextMs());
  }

  #nextMs(): number {
    const { clock } = this.#options;
    if (this.isLeading) return retryMs;
    const pollMs = this.#pollMs() * (0.8 + 0.4 * clock.random());
    const confirmMs = this.#record.confirmInMs(durationMs);
    // A server that does not answer must not be asked more often for it.
    if (confirmMs === undefined || this.#hasFailed) return pollMs;
    return Math.min(pollMs, confirmMs + clock.random() * retryMs);
  }

  #pollMs(): number {
    return retryMs * Math.max(1, this.#options.candidateCount() / 50);
  }

  async #look(): Promise<void> {
    const { client, namespace, name } = this.#options;
    let found: LeaseObject | undefined;
    try {
      found = await client.call<LeaseObject>({
        path: leasePath(namespace, name),
        timeoutMs: renewDeadlineMs / 2,
      });
    } catch (error) {
      if (!(error instanceof KubeError && error.status === 404)) throw error;
    }
    if (this.#isClosed) return;
    if (found === undefined) {
      await this.#take(this.#record.first(namespace, name), "POST");
      return;
    }
    this.#record.observe(found);
    if (this.#record.isFree(durationMs)) await this.#take(this.#record.taken(durationMs), "PUT");
  }

  /** Another candidate may have been faster: the server takes one of both by resourceVersion. */
  async #take(wanted: LeaseObject, method: "POST" | "PUT"): Promise<void> {
    const { clock, identity, log, lead } = this.#options;
    const beganMs = clock.monotonicMs();
    try {
      this.#record.observe(await this.#write(wanted, method));
    } catch (error) {
      if (error instanceof KubeError && error.status === 409) return;
      throw error;
    }
    if (this.#isClosed) return;
    this.#setDeadline(beganMs);
    if (!this.isLeading) return;
    log.info({ identity }, "leading: writing the status of policies");
    lead(this.#term!.signal);
  }

  async #renew(): Promise<void> {
    const { clock, client, namespace, name } = this.#options;
    const beganMs = clock.monotonicMs();
    try {
      this.#record.observe(await this.#put(this.#record.renewed()));
    } catch (error) {
      if (!(error instanceof KubeError && (error.status === 409 || error.status === 404)))
        throw error;
      if (error.status === 404) {
        this.#endTerm("the lease was deleted");
        return;
      }
      // A renewal that was taken although its answer was lost looks like this, too.
      this.#record.observe(
        await client.call<LeaseObject>({
          path: leasePath(namespace, name),
          timeoutMs: renewDeadlineMs / 2,
        }),
      );
      if (!this.#record.isMine) this.#endTerm("another agent holds the lease");
      return;
    }
    if (this.isLeading) this.#setDeadline(beganMs);
  }

  /** Counts from when the renewal was sent: the server cannot have taken it earlier. */
  #setDeadline(beganMs: number): void {
    const { clock } = this.#options;
    this.#cancelDeadline();
    const leftMs = renewDeadlineMs - (clock.monotonicMs() - beganMs);
    if (leftMs <= 0) {
      this.#endTerm("the lease could not be renewed in time");
      return;
    }
    this.#term ??= new AbortController();
    this.#cancelDeadline = clock.after(leftMs, () =>
      this.#endTerm("the lease could not be renewed in time"),
    );
  }

  #endTerm(reason: string): void {
    this.#cancelDeadline();
    const term = this.#term;
    this.#term = undefined;
    if (term === undefined) return;
    this.#options.log.info({ reason }, "no longer leading");
    term.abort();
  }

  async #put(wanted: LeaseObject): Promise<LeaseObject> {
    return this.#write(wanted, "PUT");
  }

  async #write(body: LeaseObject, method: "POST" | "PUT"): Promise<LeaseObject> {
    const { client, namespace, name } = this.#options;
    const path = method === "POST" ? leasePath(namespace) : leasePath(namespace, name);
    return client.call<LeaseObject>({ method, path, body, timeoutMs: renewDeadlineMs / 2 });
  }
}
