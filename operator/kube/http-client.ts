import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { KubeClient, KubeRequest, KubeStream } from "./client.js";
import type { KubeConnection, TlsOptions } from "./connection.js";
import { errorOfStatus, KubeError } from "./errors.js";

export interface KubeClientOptions {
  /** Shown in the API server's audit log, and matched by nobody. */
  readonly userAgent: string;
  /** A server did not answer, and another one is asked from now on. */
  onFailOver?(from: string, to: string, error: KubeError): void;
}

const defaultTimeoutMs = 30_000;
/** Until TCP and TLS are set up; the next server is asked after it. */
const connectTimeoutMs = 5000;
/** A larger answer of one call is refused; lists are streamed. */
const mostAnswerBytes = 64 << 20;
const mostErrorBytes = 64 << 10;

/**
 * Makes a client. Connections are kept and used again; each watch holds one of its own. Nothing is connected before the
 * first call.
 */
export function createKubeClient(
  connection: KubeConnection,
  options: KubeClientOptions,
): KubeClient {
  return new HttpClient(connection, options);
}

class HttpClient implements KubeClient {
  readonly #connection: KubeConnection;
  readonly #options: KubeClientOptions;
  readonly #plain = new HttpAgent({ keepAlive: true });
  #secure: { readonly tls: TlsOptions; readonly agent: HttpsAgent } | undefined;
  #current = 0;

  constructor(connection: KubeConnection, options: KubeClientOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  get namespace(): string {
    return this.#connection.namespace;
  }

  server(): string {
    return this.#connection.servers[this.#current] ?? "";
  }

  async call<T>(request: KubeRequest): Promise<T> {
    const timeout = AbortSignal.timeout(request.timeoutMs ?? defaultTimeoutMs);
    const { signal, release } = either(request.signal, timeout);
    try {
      const { response, server } = await this.#send({ ...request, signal });
      const text = await readText(response, mostAnswerBytes, describe(request, server));
      return parseAnswer<T>(text, describe(request, server));
    } finally {
      release();
    }
  }

  async stream(request: KubeRequest): Promise<KubeStream> {
    const untilHeaders = new AbortController();
    const timer = setTimeout(
      () => untilHeaders.abort(new DOMException("no answer in time", "TimeoutError")),
      request.timeoutMs ?? defaultTimeoutMs,
    );
    const { signal, release } = either(request.signal, untilHeaders.signal);
    try {
      return await this.#send({ ...request, signal });
    } finally {
      clearTimeout(timer);
      release();
    }
  }

  close(): void {
    this.#plain.destroy();
    this.#secure?.agent.destroy();
  }

  /** Sends to the current server, and to each other one when no connection to it comes about. */
  async #send(request: KubeRequest): Promise<KubeStream> {
    let failure: KubeError | undefined;
    for (let tries = 0; tries < this.#connection.servers.length; tries++) {
      const index = this.#current;
      try {
        return await this.#sendTo(this.server(), request);
      } catch (error) {
        if (!(error instanceof NoConnectionError)) throw error;
        failure = error;
        this.#failOver(index, error);
      }
    }
    throw failure ?? new KubeError("SLUICE_KUBE_CONFIG", "no API server is configured");
  }

  #failOver(index: number, error: KubeError): void {
    const { servers } = this.#connection;
    // Others may have failed over meanwhile.
    if (servers.length < 2 || index !== this.#current) return;
    const from = this.server();
    this.#current = (index + 1) % servers.length;
    this.#options.onFailOver?.(from, this.server(), error);
  }

  async #sendTo(server: string, request: KubeRequest): Promise<KubeStream> {
    for (let isRefused = false; ; isRefused = true) {
      const { headers } = await this.#connection.credentials(isRefused);
      const response = await this.#answer(server, request, headers);
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 300) return { response, server };
      const call = describe(request, server);
      const body = await readText(response, mostErrorBytes, call).catch(() => "");
      // A rotated token may have been read before its successor was written.
      if (status === 401 && !isRefused) continue;
      throw errorOfStatus(status, call, body, response.headers["retry-after"]);
    }
  }

  async #answer(
    server: string,
    request: KubeRequest,
    credentials: Readonly<Record<string, string>>,
  ): Promise<IncomingMessage> {
    const url = new URL(server + request.path);
    for (const [name, value] of Object.entries(request.query ?? {})) {
      url.searchParams.set(name, String(value));
    }
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const options = {
      method: request.method ?? "GET",
      headers: {
        accept: "application/json",
        "user-agent": this.#options.userAgent,
        ...credentials,
        ...(body !== undefined && {
          "content-type": request.contentType ?? "application/json",
          "content-length": Buffer.byteLength(body),
        }),
      },
      ...(request.signal !== undefined && { signal: request.signal }),
    };
    const isSecure = url.protocol === "https:";
    const agent = isSecure ? this.#agentFor(await this.#connection.tls()) : this.#plain;
    return new Promise((resolve, reject) => {
      const send = isSecure ? httpsRequest : httpRequest;
      const sent = send(url, { ...options, agent }, resolve);
      let isConnected = false;
      sent.on("socket", (socket: Socket) => {
        if (!socket.connecting) isConnected = true;
        else watchConnect(socket, isSecure, () => (isConnected = true));
      });
      sent.on("error", (cause) => {
        const call = describe(request, server);
        // A kept connection that the server closed just now: nothing was read of this request.
        const isStale = sent.reusedSocket && options.method === "GET" && isReset(cause);
        if (isStale && request.signal?.aborted !== true) {
          this.#answer(server, request, credentials).then(resolve, reject);
        } else {
          reject(transportError(cause, call, isConnected, request.signal));
        }
      });
      sent.end(body);
    });
  }

  /** Connections made under older TLS options end when they are idle; streams on them go on. */
  #agentFor(tls: TlsOptions): HttpsAgent {
    if (this.#secure?.tls === tls) return this.#secure.agent;
    for (const sockets of Object.values(this.#secure?.agent.freeSockets ?? {})) {
      for (const socket of sockets ?? []) socket.destroy();
    }
    const agent = new HttpsAgent({ ...tls, keepAlive: true });
    this.#secure = { tls, agent };
    return agent;
  }
}

/** No connection came about, so the request was not seen by any server. */
class NoConnectionError extends KubeError {}

function watchConnect(socket: Socket, isSecure: boolean, onConnect: () => void): void {
  const timer = setTimeout(() => {
    socket.destroy(new Error(`no connection within ${connectTimeoutMs / 1000} s`));
  }, connectTimeoutMs);
  (socket as TLSSocket).once(isSecure ? "secureConnect" : "connect", () => {
    clearTimeout(timer);
    onConnect();
  });
  socket.once("close", () => clearTimeout(timer));
  socket.setKeepAlive(true, 15_000);
}

function isReset(error: Error): boolean {
  return "code" in error && (error.code === "ECONNRESET" || error.code === "EPIPE");
}

function transportError(
  cause: Error,
  call: string,
  isConnected: boolean,
  signal: AbortSignal | undefined,
): KubeError {
  if (signal?.aborted === true) {
    const reason: unknown = signal.reason;
    if (reason instanceof DOMException && reason.name === "TimeoutError") {
      return new KubeError("SLUICE_KUBE_SILENT", `${call} was not answered in time`, { cause });
    }
    return new KubeError("SLUICE_KUBE_SILENT", `${call} was given up`, { cause });
  }
  const problem = `${call} got no answer: ${cause.message}`;
  return isConnected
    ? new KubeError("SLUICE_KUBE_UNREACHABLE", problem, { cause })
    : new NoConnectionError("SLUICE_KUBE_UNREACHABLE", problem, { cause });
}

/**
 * A signal that follows both until it is released. Not AbortSignal.any, of which Node 20 keeps each result for as long as
 * the longest-lived signal.
 */
function either(
  lasting: AbortSignal | undefined,
  brief: AbortSignal,
): { readonly signal: AbortSignal; release(): void } {
  if (lasting === undefined) return { signal: brief, release: () => {} };
  const both = new AbortController();
  const onLasting = () => both.abort(lasting.reason);
  const onBrief = () => both.abort(brief.reason);
  if (lasting.aborted) onLasting();
  lasting.addEventListener("abort", onLasting);
  brief.addEventListener("abort", onBrief);
  return {
    signal: both.signal,
    release() {
      lasting.removeEventListener("abort", onLasting);
      brief.removeEventListener("abort", onBrief);
    },
  };
}

function parseAnswer<T>(text: string, call: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new KubeError("SLUICE_KUBE_FAILED", `${call} was answered with what is no JSON`, {
      cause,
    });
  }
}

async function readText(response: IncomingMessage, limit: number, call: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limit) throw new Error(`it is larger than ${limit} bytes`);
      chunks.push(chunk);
    }
  } catch (cause) {
    response.destroy();
    const why = cause instanceof Error ? cause.message : String(cause);
    const problem = `the answer to ${call} was cut off: ${why}`;
    throw new KubeError("SLUICE_KUBE_UNREACHABLE", problem, { cause });
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** `GET https://192.0.2.1:6443/api/v1/nodes`: without the query, which is long and holds no news. */
function describe({ method = "GET", path }: KubeRequest, server: string): string {
  return `${method} ${server}${path}`;
}
