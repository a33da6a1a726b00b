import { SluiceError, type SluiceErrorCode } from "../errors.js";

/** What each code of the API server's client means, and what to do when the thrower knows nothing better. */
const kubeCodes = {
  SLUICE_KUBE_CONFIG: "Check the path, and that it holds what kubectl would accept",
  SLUICE_KUBE_UNREACHABLE:
    "Check the address of the API server, the network to it, and the CA that signed its certificate",
  SLUICE_KUBE_SILENT:
    "The API server is overloaded or the network loses packets; it is tried again",
  SLUICE_KUBE_UNAUTHORIZED:
    "Renew the token or certificate; a rotated token file is read by itself",
  SLUICE_KUBE_FORBIDDEN:
    "Grant the permission: kubectl auth can-i --as, and the chart's ClusterRole",
  SLUICE_KUBE_NOT_FOUND: "Check that the CRDs are installed: kubectl get crd | grep sluice.dev",
  SLUICE_KUBE_CONFLICT: "Somebody else changed the object meanwhile; it is read and tried again",
  SLUICE_KUBE_GONE: "The list is read anew by itself",
  SLUICE_KUBE_INVALID: "Correct the fields that the API server names",
  SLUICE_KUBE_BUSY: "The API server limits this client; it is tried again later",
  SLUICE_KUBE_EXEC: "Read what the command wrote; kubectl describe shows the state of its pod",
  SLUICE_KUBE_FAILED: "Look at the log of the API server; it is tried again",
} as const satisfies Record<SluiceErrorCode, string>;

export type KubeErrorCode = keyof typeof kubeCodes;

interface KubeErrorOptions {
  readonly remedy?: string;
  readonly cause?: unknown;
  readonly status?: number;
  readonly reason?: string;
  readonly retryAfterMs?: number;
}

/** A call to the API server that failed: before an answer (no `status`), or with one. */
export class KubeError extends SluiceError {
  /** HTTP status of the answer. */
  readonly status: number | undefined;
  /** `reason` of the answer's Status object: `Conflict`, `Expired`, `AlreadyExists`, … */
  readonly reason: string | undefined;
  /** How long the server asks to wait before the next try. */
  readonly retryAfterMs: number | undefined;

  constructor(code: KubeErrorCode, problem: string, options: KubeErrorOptions = {}) {
    const { remedy = kubeCodes[code], cause, status, reason, retryAfterMs } = options;
    super(code, problem, { remedy, cause });
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The error of an answer that is none of 200 … 299. */
export function errorOfStatus(
  status: number,
  call: string,
  body: string,
  retryAfter: string | undefined,
): KubeError {
  const { message, reason } = readStatusObject(body);
  const problem = `${call} was answered with ${status}${message === undefined ? "" : `: ${message}`}`;
  const seconds = Number(retryAfter);
  return new KubeError(codeOfStatus(status), problem, {
    status,
    ...(reason !== undefined && { reason }),
    ...(retryAfter !== undefined && seconds >= 0 && { retryAfterMs: seconds * 1000 }),
  });
}

function codeOfStatus(status: number): KubeErrorCode {
  switch (status) {
    case 400:
    case 413:
    case 415:
    case 422:
      return "SLUICE_KUBE_INVALID";
    case 401:
      return "SLUICE_KUBE_UNAUTHORIZED";
    case 403:
      return "SLUICE_KUBE_FORBIDDEN";
    case 404:
    case 405:
      return "SLUICE_KUBE_NOT_FOUND";
    case 409:
      return "SLUICE_KUBE_CONFLICT";
    case 410:
      return "SLUICE_KUBE_GONE";
    case 429:
    case 503:
      return "SLUICE_KUBE_BUSY";
    default:
      return "SLUICE_KUBE_FAILED";
  }
}

const longestMessage = 2000;

/** Message and reason of a `Status` object; of any other body its first words. */
function readStatusObject(body: string): { readonly message?: string; readonly reason?: string } {
  try {
    const { message, reason } = JSON.parse(body) as Record<string, unknown>;
    return {
      ...(typeof message === "string" && { message: message.slice(0, longestMessage) }),
      ...(typeof reason === "string" && { reason }),
    };
  } catch {
    const text = body.trim().slice(0, 200);
    return text === "" ? {} : { message: text };
  }
}
