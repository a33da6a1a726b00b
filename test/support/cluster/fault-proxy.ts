import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Agent, createServer as createHttpsServer, request as requestHttps } from "node:https";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { KeyPair } from "./certificates.js";
import type { Cluster } from "./cluster.js";

/** What happens to a request instead of passing. */
export type Fault =
  /** The answer comes later. */
  | { readonly kind: "delay"; readonly ms: number }
  /** The proxy answers itself, as the API server would. */
  | { readonly kind: "answer"; readonly status: number; readonly retryAfterSeconds?: number }
  /** The connection ends after so many bytes of the body. */
  | { readonly kind: "cut"; readonly afterBytes: number }
  /** The connection ends without an answer. */
  | { readonly kind: "drop" }
  /** Nothing comes any more, not even of an answer that has begun; what was held comes when the fault is taken back. */
  | { readonly kind: "freeze" };

/** Which requests; all when empty. */
export interface Match {
  readonly method?: string;
  /** Of the path with its query. */
  readonly path?: RegExp;
}

export interface LoggedRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly userAgent: string | undefined;
  readonly authorization: string | undefined;
  /** Of `performance.now()`. */
  readonly atMs: number;
}

/** Stands before the API server. Client certificates end at it: who asks through it needs a token. */
export interface FaultProxy {
  /** `https://127.0.0.1:PORT`. */
  readonly url: string;
  readonly port: number;
  /** All since the start, or since {@link forget}. */
  readonly requests: readonly LoggedRequest[];
  count(match?: Match): number;
  forget(): void;
  /** From now on a fault for some requests; of several that match, the last one counts. */
  fail(fault: Fault, match?: Match): void;
  /** Takes all faults back. */
  heal(): void;
  /** Ends all open connections, as a load balancer that restarts does. */
  dropConnections(): void;
  /** Whether new connections are accepted without a word, not even of TLS. Those held go on with false. */
  holdConnections(isHeld: boolean): void;
  /** For new connections. */
  useCertificate(pair: KeyPair): void;
}

/** Starts a proxy that ends with its cluster. */
export async function startFaultProxy(cluster: Cluster): Promise<FaultProxy> {
  const requests: LoggedRequest[] = [];
  let faults: readonly { readonly fault: Fault; readonly match: Match }[] = [];
  const faultOf = (method: string, path: string) =>
    faults.findLast(({ match }) => matches(match, method, path))?.fault;

  const upstream = new Agent({ keepAlive: true, ca: readFileSync(cluster.caFile) });
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const { method = "GET", url: path = "/", headers } = request;
    const { "user-agent": userAgent, authorization } = headers;
    requests.push({ method, path, userAgent, authorization, atMs: performance.now() });
    /** Waits while the request is frozen; gives the fault that it has then. */
    const thaw = async () => {
      for (;;) {
        const fault = faultOf(method, path);
        if (fault?.kind !== "freeze" || response.destroyed) return fault;
        await sleep(10);
      }
    };
    const fault = await thaw();
    if (fault?.kind === "drop") return void request.socket.destroy();
    if (fault?.kind === "answer") return answer(response, fault);
    const answered = await forward(request, response, new URL(path, cluster.url), upstream);
    if (fault?.kind === "delay") await sleep(fault.ms);
    await thaw();
    response.writeHead(answered.statusCode ?? 502, answered.headers);
    response.flushHeaders();
    let left = fault?.kind === "cut" ? fault.afterBytes : Number.POSITIVE_INFINITY;
    for await (const part of answered as AsyncIterable<Buffer>) {
      await thaw();
      if (part.length >= left) {
        response.write(part.subarray(0, left), () => request.socket.destroySoon());
        return;
      }
      left -= part.length;
      if (!response.write(part)) await untilDrained(response);
    }
    response.end();
  };

  const server = createHttpsServer(
    { ...readPair(cluster.certificates.serving), keepAliveTimeout: 0, requestTimeout: 0 },
    (request, response) => {
      // Without an answer from behind, there is none here: that is what a dead server looks like.
      handle(request, response).catch(() => request.socket.destroy());
    },
  );
  const sockets = new Set<Socket>();
  let held: Socket[] | undefined;
  const front = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    if (held === undefined) server.emit("connection", socket);
    else held.push(socket);
  });
  const dropConnections = () => {
    for (const socket of sockets) socket.destroy();
  };
  front.listen(0, "127.0.0.1");
  await once(front, "listening");
  const { port } = front.address() as AddressInfo;
  cluster.onClose(async () => {
    dropConnections();
    upstream.destroy();
    front.close();
    await once(front, "close");
  });

  return {
    url: `https://127.0.0.1:${port}`,
    port,
    requests,
    count: (match = {}) =>
      requests.filter(({ method, path }) => matches(match, method, path)).length,
    forget: () => void requests.splice(0),
    fail: (fault, match = {}) => void (faults = [...faults, { fault, match }]),
    heal: () => void (faults = []),
    dropConnections,
    holdConnections(isHeld) {
      const released = held ?? [];
      held = isHeld ? released : undefined;
      if (!isHeld) for (const socket of released) server.emit("connection", socket);
    },
    useCertificate: (pair) => server.setSecureContext(readPair(pair)),
  };
}

function matches(match: Match, method: string, path: string): boolean {
  return (match.method ?? method) === method && (match.path?.test(path) ?? true);
}

function readPair({ certificate, key }: KeyPair): { readonly cert: Buffer; readonly key: Buffer } {
  return { cert: readFileSync(certificate), key: readFileSync(key) };
}

/** Sends a request on; resolves with the head of its answer. */
function forward(
  request: IncomingMessage,
  response: ServerResponse,
  target: URL,
  agent: Agent,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { ...request.headers, host: target.host };
    const call = requestHttps(target, { method: request.method ?? "GET", headers, agent });
    call.on("response", resolve).on("error", reject);
    response.on("close", () => call.destroy());
    request.pipe(call);
  });
}

/** Waits until more may be written, or nothing can be any more. */
function untilDrained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      response.off("drain", end).off("close", end);
      resolve();
    };
    response.on("drain", end).on("close", end);
  });
}

function answer(
  response: ServerResponse,
  { status, retryAfterSeconds }: Fault & { readonly kind: "answer" },
): void {
  const reason = reasons[status] ?? "InternalError";
  const body = { kind: "Status", apiVersion: "v1", status: "Failure", reason, code: status };
  response.setHeader("content-type", "application/json");
  if (retryAfterSeconds !== undefined) response.setHeader("retry-after", retryAfterSeconds);
  response.writeHead(status);
  response.end(JSON.stringify({ ...body, message: `the fault proxy answers ${status}` }));
}

const reasons: Readonly<Record<number, string>> = {
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  410: "Expired",
  429: "TooManyRequests",
  503: "ServiceUnavailable",
};
