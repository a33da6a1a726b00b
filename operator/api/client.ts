import { type ClientRequest, type IncomingMessage, request as httpRequest } from "node:http";
import { StringDecoder } from "node:string_decoder";
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
}

/** Rolling back and applying wait for the kernel; nothing takes longer on a machine that lives. */
const defaultTimeoutMs = 30_000;

/** Talks to the agent at this unix socket. Connects per call: a restarted agent is found again. */
export function createClient(socketPath: string, timeoutMs = defaultTimeoutMs): ApiClient {
  return {
    async call(name, ...[body]) {
      const { method, path } = apiRoutes[name];
      const signal = AbortSignal.timeout(timeoutMs);
      const response = await open(socketPath, method, path, body, signal);
      const answer = await readJson(response, socketPath);
      if (response.statusCode === 200) return answer as ApiCalls[typeof name]["answer"];
      throw refusal(response, answer, `${method} ${path}`);
    },
    async *events(signal) {
      let response: IncomingMessage | undefined;
      try {
        response = await open(socketPath, "GET", eventsPath, undefined, signal);
        if (response.statusCode !== 200) {
          throw refusal(response, await readJson(response, socketPath), `GET ${eventsPath}`);
        }
        for await (const line of lines(response)) yield JSON.parse(line) as EventLine;
      } catch (error) {
        if (signal?.aborted !== true)
          throw isSystemError(error) ? unreachable(error, socketPath) : error;
      } finally {
        response?.destroy();
      }
    },
  };
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
  socketPath: string,
  method: string,
  path: string,
  body: unknown,
  signal: AbortSignal | undefined,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const sent: ClientRequest = httpRequest(
      {
        socketPath,
        method,
        path,
        agent: false,
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
    sent.on("error", (error) => reject(unreachable(error, socketPath)));
    sent.end(text);
  });
}

async function readJson(response: IncomingMessage, socketPath: string): Promise<unknown> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (cause) {
    if (cause instanceof SyntaxError) {
      throw apiError(
        "SLUICE_AGENT_UNREACHABLE",
        `what answers at ${socketPath} is no sluice-agent`,
        {
          cause,
        },
      );
    }
    throw unreachable(cause, socketPath);
  }
}

function refusal(response: IncomingMessage, answer: unknown, call: string): Error {
  if (isErrorBody(answer)) return errorFromBody(answer);
  return apiError("SLUICE_INTERNAL", `${call} was answered with status ${response.statusCode}`);
}

function unreachable(cause: unknown, socketPath: string): Error {
  const { code, name, message } = cause as NodeJS.ErrnoException;
  const tried = `cannot reach the agent at ${socketPath}`;
  switch (code) {
    case "ENOENT":
      return apiError("SLUICE_AGENT_UNREACHABLE", `${tried}: there is no such socket`, { cause });
    case "ECONNREFUSED":
      return apiError("SLUICE_AGENT_UNREACHABLE", `${tried}: nobody listens, it was killed`, {
        cause,
      });
    case "EACCES":
    case "EPERM":
      return apiError("SLUICE_AGENT_DENIED", `${tried}: no permission`, { cause });
    case "ECONNRESET":
    case "EPIPE":
      return apiError("SLUICE_AGENT_UNREACHABLE", `${tried}: it ended meanwhile`, { cause });
    default:
      return name === "AbortError" || name === "TimeoutError"
        ? apiError("SLUICE_AGENT_SILENT", `${tried}: no answer in time`, { cause })
        : apiError("SLUICE_AGENT_UNREACHABLE", `${tried}: ${message}`, { cause });
  }
}
