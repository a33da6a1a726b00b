import type { Engine, PodTraceQuery } from "./engine.js";
import { apiError } from "./errors.js";
import {
  type ApiCallName,
  type ApiCalls,
  isLogLevel,
  type LogLevel,
  logLevels,
} from "./requests.js";

type Body = Readonly<Record<string, unknown>> | undefined;
type Handlers = {
  readonly [Name in ApiCallName]: (
    body: Body,
  ) => ApiCalls[Name]["answer"] | Promise<ApiCalls[Name]["answer"]>;
};

/** Smallest and largest Ethernet frame that the program can be run on. */
const frameBytes = { least: 14, most: 65_535 };

const directions = ["egress", "ingress"] as const;
const flowModes = ["exact", "newest"] as const;

/** What the agent does for each call. Bodies are checked here: nobody vouches for the other end. */
export function createHandlers(
  engine: Engine,
  logLevel: { get(): LogLevel; set(level: LogLevel): void },
): Handlers {
  return {
    status: () => ({
      ...engine.status(),
      pid: process.pid,
      logLevel: logLevel.get(),
      eventsLost: engine.eventsLost(),
      reasons: engine.reasons(),
    }),
    rules: () => engine.rules(),
    podRules: () => engine.podRules(),
    podPolicies: () => engine.podPolicies() ?? [],
    sets: () => engine.sets(),
    protocols: () => engine.protocols(),
    blocked: () => engine.blocked(),
    block: (body) => {
      const { cidr, forMs } = fields(body, ["cidr", "forMs"]);
      return engine.block(text(cidr, "cidr"), optionalDuration(forMs, "forMs"));
    },
    unblock: async (body) => {
      const { cidr } = fields(body, ["cidr"]);
      return { unblocked: await engine.unblock(text(cidr, "cidr")) };
    },
    confirm: async (body) => {
      const policy = text(fields(body, ["policy"]).policy, "policy");
      await engine.confirm(policy);
      return { confirmed: policy };
    },
    trace: (body) => {
      const request = fields(body, ["frame", "interface"]);
      return engine.trace(frame(request.frame), text(request.interface, "interface"));
    },
    locate: (body) => {
      const { pod, address } = fields(body, ["pod", "address"]);
      if ((pod === undefined) === (address === undefined)) {
        throw apiError("SLUICE_API_REQUEST", "either pod or address is to be given");
      }
      const query =
        pod === undefined ? { address: text(address, "address") } : { pod: text(pod, "pod") };
      return engine.pods().locate(query);
    },
    tracePod: (body) => {
      const request = fields(body, ["pod", "direction", "frame", "flow"]);
      const flow = request.flow === undefined ? undefined : choice(request.flow, "flow", flowModes);
      const query: PodTraceQuery = {
        pod: text(request.pod, "pod"),
        direction: choice(request.direction, "direction", directions),
        frame: frame(request.frame),
        ...(flow !== undefined && { flow }),
      };
      return engine.pods().trace(query);
    },
    logLevel: (body) => {
      const { level } = fields(body, ["level"]);
      if (!isLogLevel(level)) {
        throw apiError("SLUICE_API_REQUEST", `level is none of ${logLevels.join(", ")}`);
      }
      logLevel.set(level);
      return { level };
    },
  };
}

function fields<Name extends string>(
  body: Body,
  known: readonly Name[],
): Readonly<Partial<Record<Name, unknown>>> {
  const given = body ?? {};
  const stranger = Object.keys(given).find((name) => !(known as readonly string[]).includes(name));
  if (stranger !== undefined) {
    throw apiError(
      "SLUICE_API_REQUEST",
      `the request has a field ${JSON.stringify(stranger.slice(0, 64))}; known: ${known.join(", ")}`,
    );
  }
  return given as Partial<Record<Name, unknown>>;
}

function text(value: unknown, field: string): string {
  if (typeof value !== "string" || value === "") {
    throw apiError("SLUICE_API_REQUEST", `${field} is not a text`);
  }
  return value;
}

function choice<T extends string>(value: unknown, field: string, choices: readonly T[]): T {
  const found = choices.find((one) => one === value);
  if (found !== undefined) return found;
  throw apiError("SLUICE_API_REQUEST", `${field} is none of ${choices.join(", ")}`);
}

function optionalDuration(value: unknown, field: string): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 1) {
    throw apiError("SLUICE_API_REQUEST", `${field} is not a number of milliseconds above 0`);
  }
  return value;
}

function frame(value: unknown): Uint8Array {
  const encoded = text(value, "frame");
  const bytes = Buffer.from(encoded, "base64");
  if (bytes.toString("base64") !== encoded) {
    throw apiError("SLUICE_API_REQUEST", "frame is not base64");
  }
  if (bytes.length < frameBytes.least || bytes.length > frameBytes.most) {
    throw apiError(
      "SLUICE_API_REQUEST",
      `frame has ${bytes.length} bytes; a frame has ${frameBytes.least} to ${frameBytes.most}`,
    );
  }
  return bytes;
}
