import { mkdirSync } from "node:fs";
import { lockPath, type PathLock } from "../../datapath/path-lock.js";
import { createPinFolder } from "../../datapath/pin.js";
import { SluiceError } from "../errors.js";

/**
 * Takes the folders that one agent must have for itself; makes them when absent. The kernel lets go
 * of them when this process ends, however it ends.
 *
 * @throws SluiceError SLUICE_AGENT_RUNNING when another agent has one; SLUICE_NO_BPFFS
 */
export function lockFolders(pinRoot: string, stateFolder: string): PathLock {
  const locks: PathLock[] = [];
  const release = () => {
    for (const lock of locks) lock.release();
  };
  try {
    createPinFolder(pinRoot);
    locks.push(lock(pinRoot, "--pin-root"));
    mkdirSync(stateFolder, { recursive: true, mode: 0o700 });
    locks.push(lock(stateFolder, "--state-folder"));
    return { release };
  } catch (error) {
    release();
    throw error;
  }
}

function lock(path: string, option: string): PathLock {
  const taken = lockPath(path);
  if (taken !== undefined) return taken;
  throw new SluiceError("SLUICE_AGENT_RUNNING", `another agent runs on ${path}`, {
    remedy: `Stop it first, or give this one its own ${option}`,
  });
}
