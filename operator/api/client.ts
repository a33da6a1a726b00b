import {
  Agent,
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from "node:http";
import type { Duplex } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { SluiceError } from "../errors.js";
import { apiError, errorFromBody, isErrorBody } from "./errors.js";
import {
  type ApiCallName,
  type ApiCalls,
  apiRoutes,
  type EventLine,
  eventsPath,
} from "./requests.js";

export interface ApiClient {
  /**
   * One call.
   *
   * @throws SluiceError as the agent threw it, or SLUICE_AGENT_UNREACHABLE, SLUICE_AGENT_DENIED,
   *   SLUICE_AGENT_SILENT
   */
  call<Name extends ApiCallName>(
    name: Name,
    ...request: ApiCalls[Name]["request"] extends undefined ? [] : [ApiCalls[Name]["request"]]
  ): Promise<ApiCalls[Name]["answer"]>;
  /** Lines of the event stream, until the agent ends it or `signal` aborts. Errors as `call`. */
  events(signal?: AbortSignal): AsyncIterable<EventLine>;
  /** Ends the streams that are kept for the next call. */
  close(): void;
}

/** A way to an agent that is not a unix socket of this machine. */
export interface AgentTransport {
  /** Where the agent is, for messages: `on node1 (pod kube-system/sluice-x7k2p)`. */
  readonly where: string;
  /** What to do when it cannot be reached. */
  readonly remedy: string;
  /** A new byte stream to the agent's HTTP server. What it throws as a SluiceError reaches the caller unchanged. */
  connect(): Promise<Duplex>;
}

/** Rolling back and applying wait for the kernel; nothing takes longer on a machine that lives. */
const defaultTimeoutMs = 30_000;

/** How the place of an agent is called in messages. */
export interface AgentPlace {
  readonly where: string;
  readonly remedy?: string;
}

interface Route extends AgentPlace {
  readonly options: RequestOptions;
}

/**
 * Talks to the agent at this unix socket, or behind this transport. A socket is connected to per call, so that a
 * restarted agent is found again; streams of a transport are kept for the next call.
 */
export function createClient(
  target: string | AgentTransport,
  timeoutMs = defaultTimeoutMs,
): ApiClient {
  const kept = typeof target === "string" ? undefined : new StreamAgent(target);
  const route: Route =
    typeof target === "string"
      ? { where: `at ${target}`, options: { socketPath: target, agent: false } }
      : { where: target.where, remedy: target.remedy, options: { agent: kept } };
  return {
    async call(name, ...[body]) {
      const { method, path } = apiRoutes[name];
      const signal = AbortSignal.timeout(timeoutMs);
      const response = await open(route, method, path, body, signal);
      const answer = await readJson(response, route);
      if (response.statusCode === 200) return answer as ApiCalls[typeof name]["answer"];
      throw refusal(response, answer, `${method} ${path}`);
    },
    async *events(signal) {
      let response: IncomingMessage | undefined;
      try {
        response = await open(route, "GET", eventsPath, undefined, signal);
        if (response.statusCode !== 200) {
          throw refusal(response, await readJson(response, route), `GET ${eventsPath}`);
        }
        for await (const line of lines(response)) yield JSON.parse(line) as EventLine;
      } catch (error) {
        if (signal?.aborted !== true)
          throw isSystemError(error) ? unreachable(error, route) : error;
      } finally {
        response?.destroy();
      }
    },
    close: () => kept?.destroy(),
  };
}

/** Keeps the streams of a transport between calls. */
class StreamAgent extends Agent {
  readonly #transport: AgentTransport;
  #isClosed = false;

  constructor(transport: AgentTransport) {
    super({ keepAlive: true });
    this.#transport = transport;
  }

  override createConnection(
    _options: unknown,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    void this.#connect((error, stream) => {
      // Node calls it with the error alone, too.
      (callback as ((error: Error | null, stream?: Duplex) => void) | undefined)?.(error, stream);
    });
  }

  async #connect(done: (error: Error | null, stream?: Duplex) => void): Promise<void> {
    let stream: Duplex;
    try {
      stream = asSocket(await this.#transport.connect());
    } catch (error) {
      done(error as Error);
      return;
    }
    if (this.#isClosed) stream.destroy();
    done(null, stream);
  }

  override destroy(): void {
    this.#isClosed = true;
    super.destroy();
  }
}

/** An http.Agent calls these of what it keeps, whatever it is. */
function asSocket(stream: Duplex): Duplex {
  const nothing = () => stream;
  return Object.assign(stream, {
    ref: nothing,
    unref: nothing,
    setKeepAlive: nothing,
    setNoDelay: nothing,
    setTimeout: nothing,
  });
}

/** Not node:readline, which lets an error of its input go unseen. */
async function* lines(input: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  for await (const chunk of input) {
    const parts = (rest + decoder.write(chunk)).split("\n");
    rest = parts.pop() ?? "";
    yield* parts.filter((part) => part !== "");
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && "code" in error && !String(error.code).startsWith("SLUICE_");
}

function open(
  route: Route,
  method: string,
  path: string,
  body: unknown,
  signal: AbortSignal | undefined,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const sent: ClientRequest = httpRequest(
      {
        ...route.options,
        method,
        path,
        ...(signal === undefined ? {} : { signal }),
        headers: {
          host: "sluice",
          ...(text === undefined
            ? {}
            : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
        },
      },
      resolve,
    );
    // Stays after the answer: an agent that closes early can still fail the rest of what was sent.
    sent.on("error", (error: NodeJS.ErrnoException) => {
      // A kept stream that the agent closed just now: it has read nothing of this request.
      if (sent.reusedSocket && error.code === "ECONNRESET" && signal?.aborted !== true) {
        resolve(open(route, method, path, body, signal));
      } else {
        reject(unreachable(error, route));
      }
    });
    // While a transport connects, node:http tells nobody that the request was aborted.
    signal?.addEventListener("abort", () => reject(unreachable(signal.reason, route)), {
      once: true,
    });
    sent.end(text);
  });
}

async function readJson(response: IncomingMessage, route: Route): Promise<unknown> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (cause) {
    if (cause instanceof SyntaxError) {
      throw apiError("SLUICE_AGENT_UNREACHABLE", `what answers ${route.where} is no sluice-agent`, {
        cause,
      });
    }
    throw unreachable(cause, route);
  }
}

function refusal(response: IncomingMessage, answer: unknown, call: string): Error {
  if (isErrorBody(answer)) return errorFromBody(answer);
  return apiError("SLUICE_INTERNAL", `${call} was answered with status ${response.statusCode}`);
}

/** What a failed connection to an agent means. */
export function unreachable(cause: unknown, { where, remedy }: AgentPlace): Error {
  // A transport knows better why it failed.
  if (cause instanceof SluiceError) return cause;
  const { code, name, message } = cause as NodeJS.ErrnoException;
  const options = { cause, ...(remedy !== undefined && { remedy }) };
  const tried = `cannot reach the agent ${where}`;
  switch (code) {
    case "ENOENT":
      return apiError("SLUICE_AGENT_UNREACHABLE", `${tried}: there is no such socket`, options);
    case "ECONNREFUSED":
      return apiError(
        "SLUICE_AGENT_UNREACHABLE",
        `${tried}: nobody listens, it was killed`,
        options,
      );
    case "EACCES":
    case "EPERM":
      return apiError("SLUICE_AGENT_DENIED", `${tried}: no permission`, { cause });
    case "ECONNRESET":
    case "EPIPE":
      return apiError("SLUICE_AGENT_UNREACHABLE", `${tried}: it ended meanwhile`, options);
    default:
      return name === "AbortError" || name === "TimeoutError"
        ? apiError("SLUICE_AGENT_SILENT", `${tried}: no answer in time`, { cause })
        : apiError("SLUICE_AGENT_UNREACHABLE", `${tried}: ${message}`, options);
  }
}
