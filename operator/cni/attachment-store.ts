import { access, constants, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Attachment, fileNameOf, hostNameOf } from "./attachment.js";
import type { Bandwidth, Rate } from "./bandwidth.js";
import { cniError } from "./errors.js";
import { storedPorts } from "./port-mappings.js";

/** An attachment as it is on disk. */
export interface StoredAttachment {
  readonly attachment: Attachment;
  /** False: the process ended before the runtime could be told. */
  readonly isComplete: boolean;
}

export interface LoadedState {
  readonly attachments: readonly StoredAttachment[];
  /** Addresses given out last. */
  readonly cursors: readonly string[];
  /** Files that could not be understood, and where they are kept now. */
  readonly corrupt: readonly string[];
}

const complete = ".json";
const pending = ".pending";
const fresh = ".new";
const cursorFile = "cursors";
const corruptFolder = "corrupt";

/**
 * What was given to containers, one small file each: a crash can only harm the file that is being written, nothing
 * ever has to be compacted, and `cat` shows it. A file begins as `.pending`, on disk before anything is made
 * that it tells of, and becomes `.json` by renaming when all of it stands.
 */
export class AttachmentStore {
  readonly #folder: string;
  #cursors: readonly string[] = [];
  #writing: Promise<void> = Promise.resolve();
  /** The writing of cursors that has not begun yet. */
  #next: Promise<void> | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @throws SluiceError SLUICE_CNI_STATE when the folder cannot be read or made */
  async load(): Promise<LoadedState> {
    const names = await this.#try("read", async () => {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      return readdir(this.#folder);
    });
    const attachments: StoredAttachment[] = [];
    const corrupt: string[] = [];
    let cursors: readonly string[] = [];
    for (const name of names) {
      if (name.endsWith(fresh)) await rm(join(this.#folder, name), { force: true });
      const isComplete = name.endsWith(complete);
      if (!isComplete && !name.endsWith(pending) && name !== cursorFile) continue;
      const text = await this.#try("read", () => readFile(join(this.#folder, name), "utf8"));
      if (name === cursorFile) {
        cursors = text.split("\n").filter((line) => line !== "");
        continue;
      }
      const attachment = parse(text);
      const isOwn = attachment !== undefined && name.startsWith(`${fileNameOf(attachment)}.`);
      if (isOwn) attachments.push({ attachment, isComplete });
      else corrupt.push(await this.#putAside(name));
    }
    return { attachments, cursors, corrupt };
  }

  async #putAside(name: string): Promise<string> {
    const aside = join(this.#folder, corruptFolder, name);
    await this.#try("move a corrupt file in", async () => {
      await mkdir(join(this.#folder, corruptFolder), { recursive: true, mode: 0o700 });
      await rename(join(this.#folder, name), aside);
    });
    return aside;
  }

  /**
   * Resolves when the attachment is on disk, as pending.
   *
   * @param cursors the addresses given out last; undefined: they stay as they are on disk
   * @throws SluiceError SLUICE_CNI_STATE
   */
  async begin(attachment: Attachment, cursors?: readonly string[]): Promise<void> {
    await Promise.all([
      this.#write(`${fileNameOf(attachment)}${pending}`, JSON.stringify(attachment)),
      cursors && this.#writeCursors(cursors),
    ]);
  }

  /**
   * Renamed without a sync: a power failure that forgets the new name takes the pods along, too.
   *
   * @throws SluiceError SLUICE_CNI_STATE
   */
  async finish(attachment: Attachment): Promise<void> {
    const path = join(this.#folder, fileNameOf(attachment));
    await this.#try("write", () => rename(`${path}${pending}`, `${path}${complete}`));
  }

  /** Nothing to do when it is not there. @throws SluiceError SLUICE_CNI_STATE */
  async remove(attachment: Attachment): Promise<void> {
    const path = join(this.#folder, fileNameOf(attachment));
    await this.#try("remove a file of", async () => {
      await rm(`${path}${complete}`, { force: true });
      await rm(`${path}${pending}`, { force: true });
    });
  }

  /**
   * Best effort: what is lost by a failure is that an address comes back sooner. The newest are written once for all who
   * ask while an earlier writing goes on.
   */
  #writeCursors(cursors: readonly string[]): Promise<void> {
    this.#cursors = cursors;
    this.#next ??= this.#writing.then(() => {
      this.#next = undefined;
      const text = this.#cursors.map((cursor) => `${cursor}\n`).join("");
      return this.#write(cursorFile, text, false).catch(() => {});
    });
    this.#writing = this.#next;
    return this.#next;
  }

  /** Why nothing could be written now; undefined when it could. */
  async problem(): Promise<string | undefined> {
    try {
      await access(this.#folder, constants.W_OK);
      return undefined;
    } catch (error) {
      return `the state folder ${this.#folder} cannot be written: ${reason(error)}`;
    }
  }

  async #write(name: string, text: string, isSynced = true): Promise<void> {
    const path = join(this.#folder, name);
    await this.#try("write", async () => {
      try {
        const file = await open(`${path}${fresh}`, "w", 0o600);
        try {
          await file.writeFile(text);
          if (isSynced) await file.datasync();
        } finally {
          await file.close();
        }
        await rename(`${path}${fresh}`, path);
      } catch (error) {
        await rm(`${path}${fresh}`, { force: true }).catch(() => {});
        throw error;
      }
      if (isSynced) await syncFolder(this.#folder);
    });
  }

  async #try<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      const problem = `cannot ${what} the state folder ${this.#folder}: ${reason(cause)}`;
      throw cniError("SLUICE_CNI_STATE", problem, { cause });
    }
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Undefined when the text is not what {@link AttachmentStore.begin} wrote. */
function parse(text: string): Attachment | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(value) || !isObject(value.addresses) || !isObject(value.pod)) return undefined;
  const { containerId, ifName, hostName, mac, mtu } = value;
  if (typeof containerId !== "string" || typeof ifName !== "string") return undefined;
  if (hostName !== hostNameOf({ containerId, ifName })) return undefined;
  if (typeof mac !== "string" || typeof mtu !== "number") return undefined;
  const bandwidth = bandwidthOf(value.bandwidth);
  const ports = storedPorts(value.ports);
  const stringOf = (part: unknown) => (typeof part === "string" ? part : undefined);
  return {
    containerId,
    ifName,
    hostName,
    mac,
    mtu,
    network: stringOf(value.network),
    netns: stringOf(value.netns),
    addresses: { ipv4: stringOf(value.addresses.ipv4), ipv6: stringOf(value.addresses.ipv6) },
    pod: {
      namespace: stringOf(value.pod.namespace),
      name: stringOf(value.pod.name),
      uid: stringOf(value.pod.uid),
    },
    ...(bandwidth !== undefined && { bandwidth }),
    ...(ports !== undefined && { ports }),
  };
}

function bandwidthOf(value: unknown): Bandwidth | undefined {
  if (!isObject(value)) return undefined;
  return { ingress: rateOf(value.ingress), egress: rateOf(value.egress) };
}

function rateOf(value: unknown): Rate | undefined {
  if (!isObject(value) || typeof value.bitsPerSecond !== "number") return undefined;
  const { bitsPerSecond, burstBits } = value;
  return { bitsPerSecond, burstBits: typeof burstBits === "number" ? burstBits : undefined };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
