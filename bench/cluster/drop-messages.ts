/** Asks when the datagram of this number was sent. */
export interface SenderRequest {
  readonly number: number;
}

export interface SenderAnswer {
  /** Datagrams sent so far. */
  readonly sent: number;
  /** By {@link monotonicMs}. */
  readonly timeMs: number;
}

export interface ReceiverAnswer {
  /** Number of the last datagram that came. */
  readonly last: number;
  /** First number of the last gap. */
  readonly missedFrom: number;
  readonly silentMs: number;
}

/** The same in all processes of a machine. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
