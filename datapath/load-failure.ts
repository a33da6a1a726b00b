import { describeMissing } from "./capabilities.js";
import type { SluiceError } from "./errors.js";
import { datapathError, Errno } from "./errors.js";
import { isErrno, isPermission, libbpf, libbpfError } from "./libbpf.js";
import { keepLog, logTail } from "./verifier-log.js";

/** What is known after `bpf_object__load` failed. */
export interface LoadFailure {
  readonly object: string;
  /** −errno. */
  readonly result: number;
  /** What libbpf would have printed. */
  readonly lines: readonly string[];
  /** The verifier's log of the program that was loaded last; empty when none was refused. */
  readonly log: string;
  /** Types of the programs and maps that were to be loaded, to ask the kernel about. */
  readonly programTypes: ReadonlyMap<string, number>;
  readonly mapTypes: ReadonlyMap<string, number>;
}

/** Turns a failed load into the error that says most about it. */
export function loadError(failure: LoadFailure): SluiceError {
  return (
    permissionError(failure) ??
    pinnedLayoutError(failure) ??
    kernelTooOldError(failure) ??
    verifierError(failure) ??
    otherError(failure)
  );
}

function causeOf({ result }: LoadFailure) {
  return libbpfError("bpf_object__load", result);
}

function permissionError(failure: LoadFailure): SluiceError | undefined {
  if (!isPermission(failure.result)) return undefined;
  const missing =
    describeMissing(["CAP_BPF", "CAP_NET_ADMIN"]) ??
    // Without it the verifier refuses what it lets others do, such as a difference of two pointers.
    describeMissing(["CAP_PERFMON"]);
  if (missing === undefined) return undefined;
  return datapathError("SLUICE_NO_CAPABILITY", `cannot load ${failure.object}: ${missing}`, {
    cause: causeOf(failure),
  });
}

function pinnedLayoutError(failure: LoadFailure): SluiceError | undefined {
  const text = failure.lines.join("\n");
  const path = /couldn't reuse pinned map at '([^']+)'/.exec(text)?.[1];
  if (path === undefined) return undefined;
  return datapathError(
    "SLUICE_MAP_LAYOUT",
    `cannot load ${failure.object}: the map pinned at ${path} has another layout`,
    { cause: causeOf(failure) },
  );
}

function kernelTooOldError(failure: LoadFailure): SluiceError | undefined {
  if (!isErrno(failure.result, Errno.EINVAL) && !isErrno(failure.result, Errno.E2BIG)) {
    return undefined;
  }
  const bpf = libbpf();
  const lacks = [
    ...[...failure.programTypes]
      .filter(([, type]) => bpf.libbpf_probe_bpf_prog_type(type, null) === 0)
      .map(([name, type]) => `program ${name} (type ${type})`),
    ...[...failure.mapTypes]
      .filter(([, type]) => bpf.libbpf_probe_bpf_map_type(type, null) === 0)
      .map(([name, type]) => `map ${name} (type ${type})`),
  ];
  if (lacks.length === 0) return undefined;
  return datapathError(
    "SLUICE_KERNEL_TOO_OLD",
    `cannot load ${failure.object}: this kernel does not know the type of ${lacks.join(", ")}`,
    { cause: causeOf(failure) },
  );
}

function verifierError(failure: LoadFailure): SluiceError | undefined {
  const text = failure.lines.join("\n");
  const program = /prog '([^']+)': BPF program load failed/.exec(text)?.[1];
  if (program === undefined || failure.log === "") return undefined;
  const path = keepLog(program, failure.log);
  const where = path === undefined ? "" : `; whole log in ${path}`;
  const cause = causeOf(failure);
  return datapathError(
    "SLUICE_VERIFIER_REFUSED",
    `the verifier refused program ${program} of ${failure.object} (${cause.code}${where}):\n` +
      `${logTail(failure.log)}\n`,
    { cause },
  );
}

function otherError(failure: LoadFailure): SluiceError {
  const cause = causeOf(failure);
  const said = failure.lines.length === 0 ? "" : `:\n${failure.lines.slice(-10).join("\n")}\n`;
  return datapathError(
    "SLUICE_LOAD_FAILED",
    `cannot load ${failure.object} (${cause.code})${said}`,
    { cause },
  );
}
