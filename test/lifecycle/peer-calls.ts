interface Datagram {
  /** Own address to send from. */
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly stream: string;
}

/** What a peer does: each call with what is sent and what comes back. */
export interface PeerCalls {
  /** Receives datagrams of all streams on a UDP port. */
  readonly listen: Call<{ readonly port: number }>;
  /** How many different datagrams of a stream came. */
  readonly heard: Call<{ readonly stream: string }, number>;
  /** Datagrams that came and found the socket full. */
  readonly overflows: Call<object, number>;
  readonly send: Call<Datagram & { readonly number: number }>;
  /** Opens a connected UDP socket, which sends nothing; the local port. */
  readonly openUdp: Call<{ readonly to: string; readonly port: number }, number>;
  /** Sends from a port that it listens on. */
  readonly answer: Call<{
    readonly port: number;
    readonly to: string;
    readonly toPort: number;
    readonly stream: string;
    readonly number: number;
  }>;
  /** Sends datagrams with the numbers 1, 2, … */
  readonly startStream: Call<Datagram & { readonly perSecond: number }>;
  /** How many were sent. */
  readonly endStream: Call<{ readonly stream: string }, number>;
  readonly serveHttp: Call<{ readonly port: number }>;
  /** Asks for a page over and over, each time by a new connection. */
  readonly browse: Call<{ readonly url: string; readonly perSecond: number }>;
  readonly endBrowsing: Call<
    object,
    {
      readonly sent: number;
      readonly succeeded: number;
      readonly failures: readonly string[];
      readonly synRetransmits: number;
    }
  >;
  /** Keeps what it accepts open, as `accepted PORT` by the port of the other end. */
  readonly serveTcp: Call<{ readonly port: number }>;
  /** Accepts no more. */
  readonly endTcp: Call<{ readonly port: number }>;
  /** The local port. */
  readonly openTcp: Call<
    { readonly name: string; readonly to: string; readonly port: number },
    number
  >;
  /** Opens a connection and ends it at once; `silent`: no answer came in time. */
  readonly tryTcp: Call<
    { readonly to: string; readonly port: number; readonly timeoutMs: number },
    "open" | "refused" | "silent"
  >;
  /** Tells everybody, by TCP and UDP, which address he is seen with; by TCP sends all back that came before. */
  readonly serveWho: Call<{ readonly port: number }>;
  /**
   * Asks {@link serveWho}. `silent`: no answer in time.
   *
   * @param bytes to send by TCP, and to be sent back
   */
  readonly askWho: Call<
    {
      readonly protocol: "tcp" | "udp";
      readonly to: string;
      readonly port: number;
      readonly bytes?: number;
      /** To ask from. */
      readonly localPort?: number;
      readonly timeoutMs: number;
    },
    string
  >;
  readonly tellTcp: Call<{ readonly name: string; readonly text: string }>;
  /** Address of the other end of the connection accepted last; empty when there was none since the last call. */
  readonly lastCaller: Call<object, string>;
  /** All that came by a connection. */
  readonly heardTcp: Call<{ readonly name: string }, string>;
  /** Sends back whatever comes. */
  readonly echoTcp: Call<{ readonly port: number }>;
  /** Opens connections to who sends back, and keeps them. */
  readonly holdTcp: Call<{ readonly to: string; readonly port: number; readonly count: number }>;
  /** Asks all connections that are kept, at once. `ended`: closed or reset, since they were opened. */
  readonly rollCall: Call<
    { readonly timeoutMs: number },
    { readonly answered: number; readonly silent: number; readonly ended: number }
  >;
  /** Takes whatever comes. */
  readonly sinkTcp: Call<{ readonly port: number }>;
  /** What it has taken so far, and when. */
  readonly sunkTcp: Call<
    { readonly port: number },
    { readonly bytes: number; readonly atMs: number }
  >;
  /** Sends by several connections as fast as it can; ends with `endPouring`. */
  readonly pourTcp: Call<{ readonly to: string; readonly port: number; readonly flows: number }>;
  readonly endPouring: Call<object>;
}

export type PeerCall = keyof PeerCalls;

interface Call<Request, Answer = undefined | void> {
  readonly request: Request;
  readonly answer: Answer;
}

export type PeerReply =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly error: string };
