import { closeSync, openSync } from "node:fs";
import { attachError, createLink } from "./links.js";
import type { Link } from "./links.js";
import type { Program } from "./programs.js";

/**
 * Attaches a program to a cgroup and all below it.
 *
 * @param path folder of the cgroup, in a cgroup2 file system
 * @param attachType one of the `cgroup…` values of `AttachType`
 * @throws SluiceError SLUICE_NO_CAPABILITY, SLUICE_ATTACH_FAILED
 */
export function attachCgroup(program: Program, path: string, attachType: number): Link {
  const folder = openSync(path, "r");
  try {
    const made = createLink(program, folder, attachType);
    if (typeof made !== "number") return made;
    const tried = `cannot attach program ${program.name} to cgroup ${path}`;
    throw attachError(tried, "bpf_link_create", made);
  } finally {
    closeSync(folder);
  }
}
