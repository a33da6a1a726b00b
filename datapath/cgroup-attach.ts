import { closeSync, openSync, readFileSync } from "node:fs";
import { datapathError, Errno } from "./errors.js";
import { isErrno, libbpfError } from "./libbpf.js";
import type { Link } from "./links.js";
import { attachError, createLink } from "./links.js";
import type { Program } from "./programs.js";

/** Where a cgroup2 file system is mounted; undefined on machines with version 1 only. */
export function findCgroup2(): string | undefined {
  const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n");
  return mounts.map((line) => line.split(" ")).find(([, , type]) => type === "cgroup2")?.[1];
}

/**
 * Attaches a program to a cgroup and all below it.
 *
 * @param path folder of the cgroup, in a cgroup2 file system
 * @param attachType one of the `cgroup…` values of `AttachType`
 * @throws SluiceError SLUICE_NO_CAPABILITY, SLUICE_ATTACH_FAILED
 */
export function attachCgroup(program: Program, path: string, attachType: number): Link {
  const tried = `cannot attach program ${program.name} to cgroup ${path}`;
  const folder = openSync(path, "r");
  try {
    const made = createLink(program, folder, attachType);
    if (typeof made !== "number") return made;
    if (!isErrno(made, Errno.EBADF)) throw attachError(tried, "bpf_link_create", made);
    throw datapathError("SLUICE_ATTACH_FAILED", `${tried}: the folder is not a cgroup`, {
      cause: libbpfError("bpf_link_create", made),
      remedy: "Give a folder of a cgroup2 file system",
    });
  } finally {
    closeSync(folder);
  }
}
