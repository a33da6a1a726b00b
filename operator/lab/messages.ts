/** What the processes of the lab say to each other over their channels. */

/** Kinds of hostile traffic, in the order of `enum traffic` in traffic.bpf.c. */
export const attackKinds = ["udpFlood", "synFlood", "portScan"] as const;
export type AttackKind = (typeof attackKinds)[number];

/** Packets per second, to all nodes together. */
export type AttackRates = Readonly<Record<AttackKind, number>>;

/** Lab to generator: the rates from now on. */
export interface SetRates {
  readonly rates: AttackRates;
}

/** Generator to lab, some times a second: packets sent since its start, per node in their order. */
export interface AttackReport {
  /** When it was made, milliseconds since the epoch. */
  readonly at: number;
  readonly sent: Readonly<Record<AttackKind, readonly number[]>>;
  /** Of these, packets lost before the bridge: the ring of the veth was full. */
  readonly lost: number;
  /** False while packets are still on their way out. */
  readonly idle: boolean;
}

/** Totals of the requests to one node since the client's start. */
export interface RequestTotals {
  readonly sent: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Why the last failed one failed. */
  readonly lastFailure?: string;
}

/** Client to lab, some times a second. */
export interface ClientReport {
  /** When it was made, milliseconds since the epoch. */
  readonly at: number;
  readonly nodes: readonly RequestTotals[];
  /** SYN packets that the client's kernel had to send again, since the namespace was made. */
  readonly synRetransmits: number;
}
