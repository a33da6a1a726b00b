import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Engine } from "../api/engine.js";
import { SluiceError } from "../errors.js";
import { readinessChecks, readinessText } from "./readiness.js";

/** What `/metrics` answers. */
export interface MetricsPage {
  readonly contentType: string;
  text(): Promise<string>;
}

export interface HealthServerOptions {
  readonly engine: Pick<Engine, "status">;
  readonly metrics: MetricsPage;
  /** Empty: all addresses. */
  readonly host: string;
  readonly port: number;
}

export interface HealthServer {
  /** `127.0.0.1:9977`; the port is the real one when 0 was asked for. */
  readonly address: string;
  close(): Promise<void>;
}

const mostConnections = 32;
const plainText = "text/plain; charset=utf-8";

/**
 * Serves `/healthz` (the process answers), `/readyz` (what is wanted is in force) and `/metrics`.
 * Read-only and without secrets, so that it may be reached by scrapers.
 *
 * @throws SluiceError SLUICE_METRICS_ADDRESS
 */
export async function startHealthServer(options: HealthServerOptions): Promise<HealthServer> {
  const { host, port, engine, metrics } = options;
  const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
    request.resume();
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      answer(response, 405, "only GET and HEAD\n");
      return;
    }
    const path = (request.url ?? "/").split("?", 1)[0];
    if (path === "/healthz" || path === "/livez") {
      answer(response, 200, "ok\n");
    } else if (path === "/readyz") {
      const checks = readinessChecks(engine);
      answer(response, checks.every(({ ok }) => ok) ? 200 : 503, readinessText(checks));
    } else if (path === "/metrics") {
      void answerMetrics(response, metrics);
    } else {
      answer(response, 404, "/healthz, /readyz and /metrics are here\n");
    }
  });
  server.maxConnections = mostConnections;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => reject(listenError(host, port, cause)));
    server.listen({ port, ...(host !== "" && { host }) }, resolve);
  });
  return {
    address: formatAddress(server.address() as AddressInfo),
    async close() {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answerMetrics(response: ServerResponse, metrics: MetricsPage): Promise<void> {
  try {
    answer(response, 200, await metrics.text(), metrics.contentType);
  } catch (error) {
    answer(response, 500, `the metrics cannot be read: ${String(error)}\n`);
  }
}

function answer(response: ServerResponse, status: number, text: string, type = plainText): void {
  const bytes = Buffer.from(text);
  response.writeHead(status, {
    "content-type": type,
    "content-length": bytes.length,
    "cache-control": "no-store",
  });
  response.end(response.req.method === "HEAD" ? undefined : bytes);
}

function formatAddress({ address, port, family }: AddressInfo): string {
  return family === "IPv6" ? `[${address}]:${port}` : `${address}:${port}`;
}

function listenError(host: string, port: number, cause: NodeJS.ErrnoException): SluiceError {
  const why = {
    EADDRINUSE: "another program listens there",
    EADDRNOTAVAIL: "this node does not have the address",
    EACCES: "no permission for this port",
  }[cause.code ?? ""];
  const problem = `cannot serve metrics on ${host || "*"}:${port}: ${why ?? cause.message}`;
  return new SluiceError("SLUICE_METRICS_ADDRESS", problem, {
    remedy: "Choose another --metrics-address, or none",
    cause,
  });
}
