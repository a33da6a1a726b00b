import { SluiceError, type SluiceErrorCode, type SluiceErrorOptions } from "../errors.js";

/**
 * What goes wrong between a container runtime and the agent: the code of the specification (100 and up are the
 * plugin's own), and what to do when the thrower knows nothing better.
 */
const codes = {
  SLUICE_CNI_VERSION: [1, "Use one of the versions that VERSION lists"],
  SLUICE_CNI_UNSUPPORTED: [2, "Remove the field from the network configuration"],
  SLUICE_CNI_NO_NETNS: [3, "The container is gone; create it again"],
  SLUICE_CNI_ENVIRONMENT: [4, "Set the variables as the CNI specification says"],
  SLUICE_CNI_STATE: [5, "Check the space and the permissions of the state folder"],
  SLUICE_CNI_DECODE: [6, "The network configuration on standard input must be a JSON object"],
  SLUICE_CNI_CONFIG: [7, "Correct the network configuration"],
  SLUICE_CNI_TRY_AGAIN: [11, "Try again"],
  SLUICE_CNI_NOT_READY: [
    50,
    "Wait for the agent to become ready; sluicectl status says why it is not",
  ],
  SLUICE_CNI_NO_ADDRESS: [
    100,
    "Delete pods, or give the node a larger podCIDR; CNI GC frees what no container holds any more",
  ],
  SLUICE_CNI_EXISTS: [101, "Delete the attachment first (CNI DEL)"],
  SLUICE_CNI_LINK: [102, "Check the log of the agent"],
  SLUICE_CNI_POLICY: [
    103,
    "Check the log of the agent; the pod stays without network until its policy is in force",
  ],
  SLUICE_CNI_CHECK: [104, "Restart the pod"],
  SLUICE_CNI_ADDRESS_TAKEN: [105, "Ask for another address, or for none"],
  SLUICE_CNI_PORT_TAKEN: [106, "Use another hostPort, or delete the pod that has it"],
  SLUICE_CNI_INTERNAL: [199, "Check the log of the agent, and report it"],
} as const satisfies Record<SluiceErrorCode, readonly [code: number, remedy: string]>;

export type CniErrorCode = keyof typeof codes;

/** Makes a {@link SluiceError} that a runtime is told of. */
export function cniError(
  code: CniErrorCode,
  problem: string,
  options: SluiceErrorOptions = {},
): SluiceError {
  return new SluiceError(code, problem, { remedy: codes[code][1], ...options });
}

/** The error object of the specification. */
export interface CniFailure {
  readonly cniVersion: string;
  readonly code: number;
  readonly msg: string;
  readonly details: string;
}

/** What a runtime is told of any error. */
export function toFailure(error: unknown, cniVersion: string): CniFailure {
  if (!(error instanceof SluiceError)) {
    const [code] = codes.SLUICE_CNI_INTERNAL;
    return { cniVersion, code, msg: "the agent failed", details: String(error) };
  }
  const [code] = Object.hasOwn(codes, error.code)
    ? codes[error.code as CniErrorCode]
    : codes.SLUICE_CNI_INTERNAL;
  const details = [error.code, error.remedy].filter((part) => part !== undefined).join(": ");
  return { cniVersion, code, msg: error.problem, details };
}
