import { sep } from "node:path";
import { type FSWatcher, watch } from "chokidar";
import type { ClusterKinds } from "../model/admit.js";
import { Interner } from "../model/interner.js";
import type { ClusterKind } from "../model/project-cluster.js";
import type { Problem } from "../model/records.js";
import type { SourceState } from "../model/source-state.js";
import { compareBytes, type FolderScan, scanFolder } from "./folder-scan.js";
import { fileProblem, type LoadedFile, loadText, problemOfError } from "./loaded-file.js";
import { type FileState, readManifestFile } from "./manifest-file.js";
import { ObjectTable } from "./object-table.js";
import type { Sink, Source } from "./source.js";

export interface ManifestFolderOptions {
  /** A changed file is read when it has been quiet for so long. Default 100. */
  readonly settleMs?: number;
  /**
   * The folder is looked through this often even if the kernel reports no change. Default 30,000.
   */
  readonly rescanMs?: number;
  /** A larger file is refused. Default 64 MiB. */
  readonly fileLimitBytes?: number;
  /** Kubernetes' own kinds that are taken besides Nodes. Default: none. */
  readonly clusterKinds?: readonly ClusterKind[];
}

/** A file that never gets quiet is read all the same after this many settling times. */
const MOST_SETTLES = 20;

/**
 * A folder of manifests as a source: all `.yaml`, `.yml` and `.json` files in it and below, hidden
 * ones excepted. Change reports of the kernel only say that there is something to look at; what
 * changed is always found by comparing the whole folder with what was read before.
 */
export class ManifestFolder implements Source {
  readonly #folder: string;
  readonly #settleMs: number;
  readonly #rescanMs: number;
  readonly #fileLimitBytes: number;
  readonly #cluster: ClusterKinds;
  readonly #table = new ObjectTable();
  #files: ReadonlyMap<string, LoadedFile> = new Map();
  /** When a file was first seen changing, by path. */
  readonly #restless = new Map<string, number>();
  /** The problems last told, as JSON. */
  #problems = "[]";
  #watchFault: Problem | undefined;
  #watcher: FSWatcher | undefined;
  #sink: Sink = () => {};
  /** Identity of the folder that the watcher watches. */
  #watched: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #dueMs = Number.POSITIVE_INFINITY;
  #pass: Promise<void> | undefined;
  #isClosed = false;
  #isSynced = false;
  #connection: { readonly fault: string | undefined; readonly since: string } | undefined;

  /** @param folder path as the user gave it; messages show it so */
  constructor(folder: string, options: ManifestFolderOptions = {}) {
    this.#folder = folder;
    this.#settleMs = options.settleMs ?? 100;
    this.#rescanMs = options.rescanMs ?? 30_000;
    this.#fileLimitBytes = options.fileLimitBytes ?? 64 << 20;
    this.#cluster = { kinds: options.clusterKinds ?? [], interner: new Interner() };
  }

  /** @throws SluiceError `SLUICE_FOLDER_UNREADABLE` */
  async start(sink: Sink): Promise<void> {
    this.#sink = sink;
    const scan = await scanFolder(this.#folder);
    const cause = scan.failures.get(this.#folder);
    if (cause !== undefined) throw cause;
    this.#pass = this.#update(scan, true);
    await this.#pass;
    this.#pass = undefined;
    this.#isSynced = true;
    this.#sink({ type: "synced" });
  }

  state(): SourceState {
    const { fault, since } = this.#connection ?? {
      fault: undefined,
      since: new Date().toISOString(),
    };
    return {
      type: "folder",
      from: this.#folder,
      isSynced: this.#isSynced,
      isConnected: this.#connection !== undefined && fault === undefined,
      since,
      errors: fault === undefined ? [] : [fault],
      kinds: [],
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#watcher?.close();
    await this.#pass;
  }

  async #watch(identity: string): Promise<void> {
    this.#watched = identity;
    await this.#watcher?.close();
    if (this.#isClosed) return;
    this.#watchFault = undefined;
    this.#watcher = watch(this.#folder, { ignoreInitial: true });
    this.#watcher.on("all", () => this.#passIn(this.#settleMs));
    // A change between the pass and this moment may have gone unseen.
    this.#watcher.on("ready", () => this.#passIn(this.#settleMs));
    this.#watcher.on("error", (error) => {
      this.#watchFault = fileProblem(
        "SLUICE_FOLDER_UNREADABLE",
        this.#folder,
        `changes cannot be watched: ${error instanceof Error ? error.message : String(error)}`,
        {
          remedy:
            "Raise fs.inotify.max_user_watches; until then changes act within " +
            `${this.#rescanMs / 1000} s`,
        },
      );
      this.#passIn(this.#settleMs);
    });
  }

  /** Starts a pass so much later, unless one is due before that. */
  #passIn(delayMs: number): void {
    const dueMs = performance.now() + delayMs;
    if (this.#isClosed || this.#dueMs <= dueMs) return;
    clearTimeout(this.#timer);
    this.#dueMs = dueMs;
    this.#timer = setTimeout(() => {
      this.#dueMs = Number.POSITIVE_INFINITY;
      if (this.#pass === undefined) this.#pass = this.#runPass();
      else this.#passIn(this.#settleMs);
    }, delayMs);
  }

  async #runPass(): Promise<void> {
    await this.#update(await scanFolder(this.#folder), false);
    this.#pass = undefined;
  }

  async #update(scan: FolderScan, isFirst: boolean): Promise<void> {
    const files = new Map<string, LoadedFile>();
    let isQuiet = true;
    for (const [path, state] of scan.files) {
      const known = this.#files.get(path);
      if (known?.signature === state.signature) {
        files.set(path, known);
      } else if (!isFirst && this.#isRestless(path, state)) {
        isQuiet = false;
        if (known !== undefined) files.set(path, known);
      } else {
        const loaded = await this.#read(path, known);
        isQuiet &&= loaded.signature !== undefined || loaded.problems.length > 0;
        files.set(path, loaded);
      }
    }
    for (const [path, known] of this.#files) {
      if (!files.has(path) && isUnder(path, scan.failures)) files.set(path, known);
    }
    for (const [path, error] of scan.failures) {
      const objects = files.get(path)?.objects ?? new Map();
      files.set(path, { objects, problems: [problemOfError(path, error)] });
    }
    for (const path of this.#restless.keys()) {
      if (!scan.files.has(path)) this.#restless.delete(path);
    }
    if (this.#isClosed) return;
    this.#noteConnection(scan.failures.get(this.#folder));
    this.#files = new Map([...files].toSorted(([a], [b]) => compareBytes(a, b)));
    if (scan.identity !== undefined && scan.identity !== this.#watched) {
      await this.#watch(scan.identity);
    }
    this.#tell();
    this.#passIn(isQuiet ? this.#rescanMs : this.#settleMs);
  }

  /** Changes are heard of as long as the folder itself can be read. */
  #noteConnection(cause: Error | undefined): void {
    const fault = cause?.message;
    if (this.#connection !== undefined && this.#connection.fault === fault) return;
    this.#connection = { fault, since: new Date().toISOString() };
  }

  /** Whether a file changed so recently that its writer may not have finished. */
  #isRestless(path: string, { modifiedMs }: FileState): boolean {
    const nowMs = Date.now();
    const sinceMs = this.#restless.get(path) ?? nowMs;
    if (!this.#isFresh(modifiedMs) || nowMs - sinceMs > MOST_SETTLES * this.#settleMs) {
      this.#restless.delete(path);
      return false;
    }
    this.#restless.set(path, sinceMs);
    return true;
  }

  #isFresh(modifiedMs: number): boolean {
    const ageMs = Date.now() - modifiedMs;
    return ageMs >= 0 && ageMs < this.#settleMs;
  }

  async #read(path: string, known: LoadedFile | undefined): Promise<LoadedFile> {
    try {
      const { text, signature, modifiedMs } = await readManifestFile(path, this.#fileLimitBytes);
      const loaded = await loadText(path, text, known, Date.now(), this.#cluster);
      // Two writes within one tick of the file system's clock can leave the same signature.
      return this.#isFresh(modifiedMs) ? loaded : { ...loaded, signature };
    } catch (error) {
      return { objects: known?.objects ?? new Map(), problems: [problemOfError(path, error)] };
    }
  }

  #tell(): void {
    const { events, problems } = this.#table.update(this.#files);
    const all = this.#watchFault === undefined ? problems : [this.#watchFault, ...problems];
    const text = JSON.stringify(all);
    for (const event of events) this.#sink(event);
    if (events.length > 0 || text !== this.#problems) {
      this.#problems = text;
      this.#sink({ type: "problems", problems: all });
    }
  }
}

function isUnder(path: string, folders: ReadonlyMap<string, unknown>): boolean {
  for (const folder of folders.keys()) {
    if (path === folder || path.startsWith(folder + sep)) return true;
  }
  return false;
}
