import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { SluiceError } from "../errors.js";
import type { Engine } from "./engine.js";
import { apiError, errorBody } from "./errors.js";
import { type EventStreams, openEventStreams } from "./event-streams.js";
import { readBody } from "./read-body.js";
import { createHandlers } from "./handlers.js";
import { type ApiCallName, apiRoutes, eventsPath, type LogLevel } from "./requests.js";
import { listenOnSocket } from "./socket-path.js";

export interface ApiLog {
  debug(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface ApiServerOptions {
  readonly engine: Engine;
  readonly socketPath: string;
  readonly log: ApiLog;
  readonly logLevel: { get(): LogLevel; set(level: LogLevel): void };
}

export interface ApiServer {
  readonly socketPath: string;
  /** Ends streams and open requests, and removes the socket. */
  close(): Promise<void>;
}

const mostConnections = 64;
const calls = new Map(
  Object.entries(apiRoutes).map(([name, route]) => [
    `${route.method} ${route.path}`,
    name as ApiCallName,
  ]),
);
const paths = new Set([...Object.values(apiRoutes).map((route) => route.path), eventsPath]);

/**
 * Serves the engine to local programs: HTTP/1.1 with JSON over a unix socket of mode 0600, so
 * whoever may open the file may do everything. The socket that a killed agent left behind is
 * replaced.
 *
 * @throws SluiceError SLUICE_AGENT_RUNNING when an agent answers there, SLUICE_SOCKET_PATH when the
 *   path cannot be used
 */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const streams = openEventStreams(options.engine);
  const handlers = createHandlers(options.engine, options.logLevel);
  const server = createServer({ requestTimeout: 30_000 }, (request, response) => {
    void answer(request, response).catch((error: unknown) => {
      fail(response, error, options.log);
    });
  });
  server.maxConnections = mostConnections;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    const method = request.method ?? "GET";
    options.log.debug({ method, path }, "request");
    if (path === eventsPath && method === "GET") {
      streams.add(response);
      return;
    }
    const name = calls.get(`${method} ${path}`);
    if (name === undefined) {
      throw apiError("SLUICE_API_UNKNOWN", `the agent knows no ${method} ${path}`);
    }
    const body = method === "POST" ? await readBody(request) : undefined;
    send(response, 200, await handlers[name](body));
  }

  await listenOnSocket(server, options.socketPath);
  return { socketPath: options.socketPath, close: () => closeServer(server, streams) };
}

function fail(response: ServerResponse, error: unknown, log: ApiLog): void {
  const isKnown = error instanceof SluiceError;
  if (!isKnown) log.error({ err: error }, "a request failed");
  if (response.headersSent) {
    response.destroy();
    return;
  }
  send(response, statusCode(error, response.req), errorBody(error));
}

function statusCode(error: unknown, request: IncomingMessage): number {
  if (!(error instanceof SluiceError)) return 500;
  if (error.code === "SLUICE_API_UNKNOWN") {
    return paths.has(request.url?.split("?", 1)[0] ?? "") ? 405 : 404;
  }
  if (error.code === "SLUICE_API_REQUEST") return 400;
  if (error.code === "SLUICE_API_TOO_LARGE") return 413;
  if (error.code === "SLUICE_API_BUSY") return 503;
  return 422;
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const text = Buffer.from(`${JSON.stringify(body)}\n`);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": text.length,
    "cache-control": "no-store",
    // An unread rest of the body would otherwise be taken for the next request.
    ...(response.req.complete ? {} : { connection: "close" }),
  });
  response.end(response.req.method === "HEAD" ? undefined : text);
}

async function closeServer(server: Server, streams: EventStreams): Promise<void> {
  streams.close("the agent ends");
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeIdleConnections();
  const impatient = setTimeout(() => server.closeAllConnections(), 500);
  await closed;
  clearTimeout(impatient);
}
