import type { Clock } from "./clock.js";

/** The part of a coordination.k8s.io/v1 Lease that an election uses. */
export interface LeaseObject {
  readonly apiVersion: "coordination.k8s.io/v1";
  readonly kind: "Lease";
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly resourceVersion?: string;
    readonly [field: string]: unknown;
  };
  readonly spec?: {
    /** Empty or absent: nobody. */
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

export function leasePath(namespace: string, name?: string): string {
  const leases = `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/leases`;
  return name === undefined ? leases : `${leases}/${encodeURIComponent(name)}`;
}

/** A Lease as one candidate saw it last, and since when it looks so. */
export class LeaseRecord {
  readonly #identity: string;
  readonly #clock: Clock;
  #seen: LeaseObject | undefined;
  #unchangedSinceMs = 0;

  constructor(identity: string, clock: Clock) {
    this.#identity = identity;
    this.#clock = clock;
  }

  observe(found: LeaseObject): void {
    const isNew = found.metadata.resourceVersion !== this.#seen?.metadata.resourceVersion;
    this.#seen = found;
    if (isNew) this.#unchangedSinceMs = this.#clock.monotonicMs();
  }

  get isMine(): boolean {
    return this.#seen?.spec?.holderIdentity === this.#identity;
  }

  /** Given back, or silent for the whole duration before this candidate's eyes. */
  isFree(durationMs: number): boolean {
    const holder = this.#seen?.spec?.holderIdentity ?? "";
    return holder === "" || this.isMine || this.#silentMs() >= durationMs;
  }

  /** When to look again because the holder seems silent; undefined when it does not. */
  confirmInMs(durationMs: number): number | undefined {
    const renewed = Date.parse(this.#seen?.spec?.renewTime ?? "");
    const seemsSilent = !(this.#clock.wallMs() - renewed < durationMs);
    if (this.#seen === undefined || !seemsSilent) return undefined;
    return Math.max(0, durationMs - this.#silentMs());
  }

  first(namespace: string, name: string): LeaseObject {
    return {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name, namespace },
      spec: { ...this.#mine(15), leaseTransitions: 0 },
    };
  }

  taken(durationMs: number): LeaseObject {
    const transitions = (this.#seen?.spec?.leaseTransitions ?? 0) + 1;
    return this.#with({ ...this.#mine(durationMs / 1000), leaseTransitions: transitions });
  }

  renewed(): LeaseObject {
    return this.#with({ ...this.#seen?.spec, renewTime: this.#now() });
  }

  /** The record without a holder; undefined when this candidate does not hold it. */
  released(): LeaseObject | undefined {
    if (!this.isMine) return undefined;
    const { leaseTransitions = 0 } = this.#seen?.spec ?? {};
    return this.#with({
      holderIdentity: "",
      leaseDurationSeconds: 1,
      renewTime: this.#now(),
      leaseTransitions,
    });
  }

  #mine(durationSeconds: number) {
    const now = this.#now();
    return {
      holderIdentity: this.#identity,
      leaseDurationSeconds: durationSeconds,
      acquireTime: now,
      renewTime: now,
    };
  }

  #with(spec: NonNullable<LeaseObject["spec"]>): LeaseObject {
    if (this.#seen === undefined) throw new TypeError("no lease was seen yet");
    return { ...this.#seen, spec };
  }

  #silentMs(): number {
    return this.#clock.monotonicMs() - this.#unchangedSinceMs;
  }

  /** As `metav1.MicroTime`. */
  #now(): string {
    return new Date(this.#clock.wallMs()).toISOString().replace("Z", "000Z");
  }
}
