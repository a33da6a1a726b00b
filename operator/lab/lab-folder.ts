import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { SluiceError } from "../errors.js";
import { identify, isAlive, type ProcessIdentity } from "./processes.js";
import { namespacesOf, removeNamespaces, type Topology } from "./topology.js";

/** Each running lab has a folder here, named after the number of its process. */
const labsFolder = "/run/sluice-lab";
const bpffs = "/sys/fs/bpf";
const recordName = "lab.json";

/** All that a lab leaves outside of its process, written down before it is made. */
interface LabRecord {
  readonly lab: ProcessIdentity;
  readonly namespaces: readonly string[];
  readonly pinFolder: string;
  readonly processes: readonly ProcessIdentity[];
}

/** Where one lab keeps sockets, logs and the record of what must be removed after it. */
export interface LabFolder {
  readonly path: string;
  /** In the bpffs; one folder per agent inside. */
  readonly pinFolder: string;
  readonly addProcess: (pid: number) => void;
}

/** Start of the names of a lab's namespaces and of its pin folder. */
export function labPrefix(pid: number): string {
  return `sluice-lab-${pid}`;
}

/**
 * Makes the folder of this process's lab, with the record of what the lab is about to make.
 *
 * @throws SluiceError SLUICE_LAB_FOLDER
 */
export function createLabFolder(topology: Topology): LabFolder {
  const lab = identify(process.pid);
  const path = `${labsFolder}/${process.pid}`;
  if (lab === undefined) throw folderError(path, "the own process is not in /proc");
  const pinFolder = `${bpffs}/${labPrefix(process.pid)}`;
  const processes: ProcessIdentity[] = [];
  const write = () =>
    writeRecord(path, { lab, namespaces: namespacesOf(topology), pinFolder, processes });
  try {
    mkdirSync(labsFolder, { recursive: true, mode: 0o700 });
    mkdirSync(path, { mode: 0o700 });
    write();
    mkdirSync(pinFolder, { mode: 0o700 });
  } catch (cause) {
    throw folderError(path, cause instanceof Error ? cause.message : String(cause), cause);
  }
  return {
    path,
    pinFolder,
    addProcess(pid) {
      const identity = identify(pid);
      if (identity === undefined) return;
      processes.push(identity);
      write();
    },
  };
}

function folderError(path: string, why: string, cause?: unknown): SluiceError {
  return new SluiceError("SLUICE_LAB_FOLDER", `cannot make the lab's folders at ${path}: ${why}`, {
    remedy: `Check that /run and ${bpffs} are writable, and that ${bpffs} is mounted as type bpf`,
    cause,
  });
}

/** Renamed into place, so that a lab killed at this moment leaves a whole record. */
function writeRecord(path: string, record: LabRecord): void {
  writeFileSync(`${path}/${recordName}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${path}/${recordName}.new`, `${path}/${recordName}`);
}

/**
 * Removes everything that a lab made: processes still there, pins (and with them programs and
 * tables), namespaces, and its folder last. Can be called again after it failed half way.
 *
 * @returns what could not be removed, in words; the folder stays then, for the next sweep
 */
export async function removeLab(folder: string): Promise<readonly string[]> {
  const record = readRecord(folder);
  const problems: string[] = [];
  if (record !== undefined) {
    await killAll(record.processes);
    problems.push(
      ...record.processes.filter(isAlive).map(({ pid }) => `process ${pid} does not end`),
      ...removeFolder(record.pinFolder),
      ...removeNamespaces(record.namespaces),
    );
  }
  if (problems.length === 0) problems.push(...removeFolder(folder));
  return problems;
}

/**
 * Removes what labs left whose process was killed.
 *
 * @returns one line per lab that was there
 */
export async function sweepStaleLabs(): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const name of listFolder(labsFolder)) {
    const folder = `${labsFolder}/${name}`;
    const record = readRecord(folder);
    // Without a record there is only the folder; its name tells whose it was.
    const isStale = record === undefined ? !identify(Number(name)) : !isAlive(record.lab);
    if (!isStale) continue;
    const problems = await removeLab(folder);
    lines.push(
      problems.length === 0
        ? `removed what the killed lab ${name} had left`
        : `the killed lab ${name} left something that stays: ${problems.join("; ")}`,
    );
  }
  return lines;
}

async function killAll(processes: readonly ProcessIdentity[]): Promise<void> {
  for (const identity of processes.filter(isAlive)) {
    try {
      process.kill(identity.pid, "SIGKILL");
    } catch {
      // It ended by itself meanwhile.
    }
  }
  for (let round = 0; round < 100 && processes.some(isAlive); round++) await sleep(20);
}

function readRecord(folder: string): LabRecord | undefined {
  try {
    return JSON.parse(readFileSync(`${folder}/${recordName}`, "utf8")) as LabRecord;
  } catch {
    return undefined;
  }
}

function listFolder(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function removeFolder(folder: string): readonly string[] {
  try {
    rmSync(folder, { recursive: true, force: true });
    return [];
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}
