import type { Logger } from "pino";
import type { Engine } from "../api/engine.js";
import { formatV4, formatV6 } from "../model/cidr-format.js";
import { isKind } from "../model/identify.js";
import { formatProblem } from "../model/problem.js";
import type { Problem } from "../model/records.js";
import type { EndpointSliceRecord } from "../model/records-service.js";
import type { ObjectEvent, Sink } from "../source/source.js";

/**
 * Hands what the source tells to the engine, and logs each problem when it comes and when it goes.
 *
 * @param observe hears everything first
 */
export function createSink(engine: Engine, logger: Logger, observe: Sink = () => {}): Sink {
  const logProblems = problemLog(logger);
  return (event) => {
    observe(event);
    switch (event.type) {
      case "synced":
        engine.submit(event);
        break;
      case "problems":
        engine.setSourceProblems(event.problems);
        logProblems(event.problems);
        break;
      default:
        submit(engine, event);
    }
  };
}

function submit(engine: Engine, event: Exclude<ObjectEvent, { type: "synced" | "problems" }>) {
  if (event.type === "delete") {
    const { kind, name } = event;
    if (isKind(kind)) engine.submit({ type: "delete", kind, name });
    return;
  }
  const { record } = event;
  if (record.kind === "EndpointSlice") {
    // When it goes, the last known stay: without them nobody could bring it back.
    if (isApiServers(record)) engine.setApiServers(endpointsOf(record));
  } else if (
    record.kind === "Node" ||
    record.kind === "XdpPolicy" ||
    record.kind === "XdpCidrSet"
  ) {
    engine.submit({ type: "upsert", record });
  }
}

/** Each API server writes its own address into this slice. */
function isApiServers({ namespace, serviceName }: EndpointSliceRecord): boolean {
  return namespace === "default" && serviceName === "kubernetes";
}

/** `ADDRESS:PORT` of each endpoint and port. */
function endpointsOf({ family, addresses, ports }: EndpointSliceRecord): readonly string[] {
  const words = family === 4 ? 1 : 4;
  const texts: string[] = [];
  for (let at = 0; at + words <= addresses.length; at += words) {
    const [a = 0, b = 0, c = 0, d = 0] = addresses.slice(at, at + words);
    const host = family === 4 ? formatV4(a) : `[${formatV6(wide(a, b), wide(c, d))}]`;
    for (const { port } of ports) texts.push(`${host}:${port}`);
  }
  return texts;
}

function wide(high: number, low: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}

function problemLog(logger: Logger): (problems: readonly Problem[]) => void {
  let told = new Map<string, Problem>();
  return (problems) => {
    const now = new Map(problems.map((problem) => [formatProblem(problem), problem]));
    for (const [text, { severity, code }] of now) {
      if (told.has(text)) continue;
      if (severity === "error") logger.error({ code }, text);
      else logger.warn({ code }, text);
    }
    for (const [text, { code }] of told) {
      if (!now.has(text)) logger.info({ code }, `put right: ${text}`);
    }
    told = now;
  };
}
