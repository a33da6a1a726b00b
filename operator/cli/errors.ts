import { SluiceError, type SluiceErrorCode } from "../errors.js";

/** What each code of sluicectl means, and what to do when the thrower knows nothing better. */
const cliCodes = {
  SLUICE_USAGE: "See sluicectl COMMAND --help",
  SLUICE_FILE: "Check the path and its permissions",
  SLUICE_MANIFESTS: "Correct them, or leave the file out",
  SLUICE_CAPTURE_FORMAT: "Give a pcap or pcapng file of Ethernet frames (tcpdump -i IFACE -w FILE)",
  SLUICE_ABORTED: "Nothing was changed",
  SLUICE_NO_AGENTS:
    "Install Sluice with its chart, or name the namespace of the agents with --namespace",
  SLUICE_BLOCK_FULL:
    "Take some back with kubectl sluice unblock, or make an XdpCidrSet of your own",
  SLUICE_BLOCK_UNUSED:
    "Delete the XdpPolicy sluice-blocked, and it is made anew; or add the rule to it",
  SLUICE_NO_POLICY: "See the policies command without a name for all that there are",
  SLUICE_NOBODY_WAITS: "kubectl sluice status --node NODE shows the policies that wait",
} as const satisfies Record<SluiceErrorCode, string>;

/** Makes a {@link SluiceError} whose remedy is that of the code, unless a better one is given. */
export function cliError(
  code: keyof typeof cliCodes,
  problem: string,
  options: { readonly remedy?: string; readonly cause?: unknown } = {},
): SluiceError {
  return new SluiceError(code, problem, { remedy: cliCodes[code], ...options });
}

/** Wrong words on the command line. */
export function usageError(problem: string, remedy?: string): SluiceError {
  return cliError("SLUICE_USAGE", problem, remedy === undefined ? {} : { remedy });
}

export const exitCodes = {
  ok: 0,
  error: 1,
  usage: 2,
  unreachable: 3,
  finding: 4,
} as const;

export const exitCodesHelp = `
Exit codes:
  0  done
  1  the agent refused, or something failed on the way
  2  the command line is wrong
  3  no agent could be reached; in a cluster: one of those asked
  4  done, and the answer is no: check found errors, doctor found something missing,
     status --check is not healthy, --expect of trace or explain differs, unblock found no entry,
     block or unblock --all-nodes is not known to be in force everywhere
`;

/** The exit code that stands for an error. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof SluiceError)) return exitCodes.error;
  switch (error.code) {
    case "SLUICE_USAGE":
      return exitCodes.usage;
    case "SLUICE_AGENT_UNREACHABLE":
    case "SLUICE_AGENT_DENIED":
    case "SLUICE_AGENT_SILENT":
    case "SLUICE_KUBE_UNREACHABLE":
    case "SLUICE_KUBE_SILENT":
    case "SLUICE_NO_AGENTS":
      return exitCodes.unreachable;
    default:
      return exitCodes.error;
  }
}
