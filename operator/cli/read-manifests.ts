import { stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import type { ClusterKinds } from "../model/admit.js";
import { Interner } from "../model/interner.js";
import type { ClusterKind } from "../model/project-cluster.js";
import type { Problem } from "../model/records.js";
import { scanFolder } from "../source/folder-scan.js";
import { type LoadedFile, loadText, problemOfError } from "../source/loaded-file.js";
import { readManifestFile } from "../source/manifest-file.js";
import { ObjectTable } from "../source/object-table.js";
import type { SourceRecord } from "../source/source.js";
import { cliError } from "./errors.js";

const fileLimitBytes = 64 << 20;

export interface Manifests {
  readonly files: readonly string[];
  readonly records: readonly SourceRecord[];
  readonly problems: readonly Problem[];
}

/**
 * Reads folders of manifests, or files, once, as the agent would read them at its start.
 *
 * @param kinds Kubernetes' own kinds that are taken besides Nodes
 * @param stdin what the path `-` stands for
 * @throws SluiceError SLUICE_FILE when a path itself cannot be read
 */
export async function readManifests(
  paths: readonly string[],
  kinds: readonly ClusterKind[] = [],
  stdin?: Readable,
): Promise<Manifests> {
  const cluster = { kinds, interner: new Interner() };
  const files = new Map<string, LoadedFile>();
  for (const path of paths) {
    if (path === "-" && stdin !== undefined) {
      const text = (await buffer(stdin)).toString();
      files.set(path, await loadText(path, text, undefined, Date.now(), cluster));
      continue;
    }
    for (const [file, failure] of await listFiles(path)) {
      files.set(file, failure === undefined ? await load(file, cluster) : failed(file, failure));
    }
  }
  const { events, problems } = new ObjectTable().update(files);
  const records = events.flatMap((event) => (event.type === "upsert" ? event.record : []));
  return { files: [...files.keys()], records, problems };
}

/** Paths in the order in which the agent reads them, each with why it cannot be read. */
async function listFiles(path: string): Promise<ReadonlyMap<string, Error | undefined>> {
  try {
    if (!(await stat(path)).isDirectory()) return new Map([[path, undefined]]);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw cliError("SLUICE_FILE", `cannot read ${path}: ${why}`, { cause });
  }
  const scan = await scanFolder(path);
  const failure = scan.failures.get(path);
  if (failure !== undefined) throw cliError("SLUICE_FILE", failure.problem, { cause: failure });
  return new Map([
    ...[...scan.files.keys()].map((file) => [file, undefined] as const),
    ...scan.failures,
  ]);
}

async function load(path: string, cluster: ClusterKinds): Promise<LoadedFile> {
  try {
    const { text } = await readManifestFile(path, fileLimitBytes);
    return await loadText(path, text, undefined, Date.now(), cluster);
  } catch (error) {
    return failed(path, error);
  }
}

function failed(path: string, error: unknown): LoadedFile {
  return { objects: new Map(), problems: [problemOfError(path, error)] };
}
