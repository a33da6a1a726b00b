import type { IncomingMessage } from "node:http";

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** Values of `Content-Type` for a PATCH. */
export const patchTypes = {
  apply: "application/apply-patch+yaml",
  merge: "application/merge-patch+json",
  json: "application/json-patch+json",
} as const;

export interface KubeRequest {
  /** Default GET. */
  readonly method?: Method;
  /** `/apis/sluice.dev/v1alpha1/xdppolicies`, with names already encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean>>;
  /** Sent as JSON, which is YAML enough for server-side apply. */
  readonly body?: unknown;
  /** Default `application/json`. */
  readonly contentType?: string;
  /** Until the whole answer is there; default 30,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** An answer whose body is read as it comes. */
export interface KubeStream {
  readonly response: IncomingMessage;
  /** The server that answers, `https://192.0.2.1:6443`. */
  readonly server: string;
}

/** Talks to one cluster's API server over a pool of kept connections. */
export interface KubeClient {
  /** Namespace that objects without one belong to. */
  readonly namespace: string;
  /** The server that requests go to now. */
  server(): string;
  /**
   * One call; resolves with the JSON of the answer.
   *
   * @throws KubeError
   */
  call<T = unknown>(request: KubeRequest): Promise<T>;
  /**
   * One call whose answer is streamed; `timeoutMs` and `signal` count until its headers. Destroy the response to end it.
   *
   * @throws KubeError
   */
  stream(request: KubeRequest): Promise<KubeStream>;
  /** Ends all connections. */
  close(): void;
}
