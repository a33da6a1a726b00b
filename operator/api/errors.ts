import { SluiceError, type SluiceErrorCode } from "../errors.js";

/**
 * What each code of the agent's socket means, and what to do when the thrower knows nothing better.
 */
const apiCodes = {
  SLUICE_AGENT_UNREACHABLE: "Start sluice-agent, or name its socket with --socket",
  SLUICE_AGENT_DENIED: "Run as the user of the agent, which is root: the socket has mode 0600",
  SLUICE_AGENT_SILENT: "Look at the agent's log; it may be busy or stopped",
  SLUICE_AGENT_RUNNING:
    "Stop the other agent first, or give this one its own --socket and --pin-root",
  SLUICE_SOCKET_PATH: "Remove the file if it is not needed, or choose another --socket",
  SLUICE_API_UNKNOWN: "The agent and sluicectl may be of different versions: sluicectl status",
  SLUICE_API_REQUEST: "Correct the request, or use sluicectl",
  SLUICE_API_TOO_LARGE: "Send a smaller request",
  SLUICE_API_BUSY: "Close another stream of events first",
  SLUICE_INTERNAL: "This is a fault of Sluice: report it with the agent's log",
} as const satisfies Record<SluiceErrorCode, string>;

export type ApiErrorCode = keyof typeof apiCodes;

/** Makes a {@link SluiceError} whose remedy is that of the code, unless a better one is given. */
export function apiError(
  code: ApiErrorCode,
  problem: string,
  options: { readonly remedy?: string; readonly cause?: unknown } = {},
): SluiceError {
  return new SluiceError(code, problem, { remedy: apiCodes[code], ...options });
}

/** An error as it crosses the socket. */
export interface ErrorBody {
  /** Stable, `SLUICE_…`. */
  readonly code: string;
  /** What was tried, on what, and why it failed. */
  readonly message: string;
  /** What to do next. */
  readonly remedy?: string;
}

/** Anything thrown, as a body. What is not a SluiceError is a fault of Sluice and says so. */
export function errorBody(error: unknown): ErrorBody {
  const known =
    error instanceof SluiceError ? error : apiError("SLUICE_INTERNAL", describe(error), {});
  return {
    code: known.code,
    message: known.problem,
    ...(known.remedy === undefined ? {} : { remedy: known.remedy }),
  };
}

/** The error behind a body, as it was thrown on the other side. */
export function errorFromBody(body: ErrorBody): SluiceError {
  return new SluiceError(body.code as SluiceErrorCode, body.message, { remedy: body.remedy });
}

export function isErrorBody(value: unknown): value is ErrorBody {
  if (typeof value !== "object" || value === null) return false;
  const { code, message } = value as Partial<Record<keyof ErrorBody, unknown>>;
  return typeof code === "string" && code.startsWith("SLUICE_") && typeof message === "string";
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
