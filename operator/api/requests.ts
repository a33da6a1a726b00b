import type {
  BlockedState,
  Counter,
  EngineStatus,
  EventState,
  Located,
  PlaceQuery,
  PodPolicyState,
  PodTraceQuery,
  PodTraceStep,
  ProtocolState,
  ReasonName,
  RuleState,
  SetState,
  TraceResult,
} from "./engine.js";

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

export function isLogLevel(text: unknown): text is LogLevel {
  return (logLevels as readonly unknown[]).includes(text);
}

/** The engine's status and what only the agent's process knows. */
export interface AgentStatus extends EngineStatus {
  readonly pid: number;
  readonly logLevel: LogLevel;
  readonly eventsLost: number;
  readonly reasons: Readonly<Partial<Record<ReasonName, Counter>>>;
}

export interface BlockRequest {
  /** Address or CIDR. */
  readonly cidr: string;
  /** Milliseconds; absent: until unblocked. */
  readonly forMs?: number;
}

export interface TraceRequest {
  /** The frame from its Ethernet header, base64. */
  readonly frame: string;
  readonly interface: string;
}

export interface PodTraceRequest extends Omit<PodTraceQuery, "frame"> {
  /** Base64. */
  readonly frame: string;
}

/** Each call: what is sent, and what comes back. All are JSON. */
export interface ApiCalls {
  readonly status: { readonly request: undefined; readonly answer: AgentStatus };
  readonly rules: { readonly request: undefined; readonly answer: readonly RuleState[] };
  readonly podRules: { readonly request: undefined; readonly answer: readonly RuleState[] };
  readonly podPolicies: { readonly request: undefined; readonly answer: readonly PodPolicyState[] };
  readonly sets: { readonly request: undefined; readonly answer: readonly SetState[] };
  readonly protocols: { readonly request: undefined; readonly answer: readonly ProtocolState[] };
  readonly blocked: { readonly request: undefined; readonly answer: readonly BlockedState[] };
  readonly block: { readonly request: BlockRequest; readonly answer: BlockedState };
  readonly unblock: {
    readonly request: { readonly cidr: string };
    readonly answer: { readonly unblocked: boolean };
  };
  readonly confirm: {
    readonly request: { readonly policy: string };
    readonly answer: { readonly confirmed: string };
  };
  readonly trace: { readonly request: TraceRequest; readonly answer: TraceResult };
  readonly locate: { readonly request: PlaceQuery; readonly answer: Located };
  readonly tracePod: { readonly request: PodTraceRequest; readonly answer: PodTraceStep };
  readonly logLevel: {
    readonly request: { readonly level: LogLevel };
    readonly answer: { readonly level: LogLevel };
  };
}

export type ApiCallName = keyof ApiCalls;

/**
 * Method and path of each call. Calls that change something are POST, so no reader triggers them.
 */
export const apiRoutes: Readonly<
  Record<ApiCallName, { readonly method: "GET" | "POST"; readonly path: string }>
> = {
  status: { method: "GET", path: "/v1/status" },
  rules: { method: "GET", path: "/v1/rules" },
  podRules: { method: "GET", path: "/v1/pod-rules" },
  podPolicies: { method: "GET", path: "/v1/pod-policies" },
  sets: { method: "GET", path: "/v1/sets" },
  protocols: { method: "GET", path: "/v1/protocols" },
  blocked: { method: "GET", path: "/v1/blocked" },
  block: { method: "POST", path: "/v1/block" },
  unblock: { method: "POST", path: "/v1/unblock" },
  confirm: { method: "POST", path: "/v1/confirm" },
  trace: { method: "POST", path: "/v1/trace" },
  locate: { method: "POST", path: "/v1/locate" },
  tracePod: { method: "POST", path: "/v1/trace-pod" },
  logLevel: { method: "POST", path: "/v1/log-level" },
};

/** Stream of sampled events, one JSON object per line, until the reader closes it. */
export const eventsPath = "/v1/events";

/**
 * One line of the stream. `lost`: events that this reader was too slow for, since its last line.
 */
export type EventLine =
  | { readonly event: EventState }
  | { readonly lost: number }
  | { readonly end: string };
