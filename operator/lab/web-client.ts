/**
 * The outside client: `web-client.js REQUESTS_PER_SECOND URL,URL …`, one list per node. Each
 * request is a new connection, to the URLs of a node in turn, so that every packet of a handshake
 * has to pass.
 */
import { readFileSync } from "node:fs";
import { get } from "node:http";
import type { ClientReport, RequestTotals } from "./messages.js";

/** A SYN that was dropped is sent again after a second, so one lost SYN still leaves time. */
const timeoutMs = 2500;
const reportIntervalMs = 200;

const [, , rateText, ...nodeTexts] = process.argv;
const nodes = nodeTexts.map((text) => text.split(","));
const totals = nodes.map((): Mutable<RequestTotals> => ({ sent: 0, succeeded: 0, failed: 0 }));

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function requestFrom(node: number): void {
  const total = totals[node];
  const urls = nodes[node];
  const url = urls?.[(total?.sent ?? 0) % urls.length];
  if (total === undefined || url === undefined) return;
  total.sent++;
  const fail = (reason: string) => {
    total.failed++;
    total.lastFailure = `${url}: ${reason}`;
  };
  const signal = AbortSignal.timeout(timeoutMs);
  const sent = get(url, { agent: false, signal }, (response) => {
    response.resume();
    response.on("error", (error) => fail(error.message));
    response.on("end", () => {
      if (response.statusCode === 200) total.succeeded++;
      else fail(`status ${response.statusCode}`);
    });
  });
  sent.on("error", (error) =>
    fail(signal.aborted ? `no answer in ${timeoutMs} ms` : error.message),
  );
}

/** From /proc/net/netstat, which holds pairs of lines: names, then values. */
function synRetransmits(): number {
  const lines = readFileSync("/proc/thread-self/net/netstat", "utf8").split("\n");
  const [names, values] = lines.filter((line) => line.startsWith("TcpExt:"));
  const index = names?.split(" ").indexOf("TCPSynRetrans") ?? -1;
  return Number(values?.split(" ")[index] ?? 0);
}

let next = 0;
// Spread over the second and the nodes instead of in bursts.
setInterval(() => requestFrom(next++ % nodes.length), 1000 / (Number(rateText) * nodes.length));

setInterval(() => {
  const report: ClientReport = {
    at: Date.now(),
    nodes: totals,
    synRetransmits: synRetransmits(),
  };
  process.send?.(report);
}, reportIntervalMs);

process.on("disconnect", () => process.exit(0));
process.on("SIGTERM", () => process.exit(0));
