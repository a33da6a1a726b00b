import { setImmediate } from "node:timers/promises";
import { type ManifestCode, manifestCodes, SluiceError } from "../errors.js";
import {
  type Admission,
  admit,
  type ClusterKinds,
  type ManifestDocument,
  qualifiedName,
} from "../model/admit.js";
import type { Problem } from "../model/records.js";
import { expandList } from "./expand-list.js";
import type { FileSignature } from "./manifest-file.js";
import { parseManifestText, type TextDocument } from "./manifest-text.js";
import type { SourceRecord } from "./source.js";

/** An object that a file stands for: as it is written now, or as it was when it was last good. */
export interface HeldObject {
  readonly kind: SourceRecord["kind"];
  /** Missing for what has none. */
  readonly namespace?: string;
  readonly name: string;
  readonly line: number;
  readonly admitted: NonNullable<Admission<SourceRecord>["admitted"]>;
}

/** What is known of one manifest file. */
export interface LoadedFile {
  /** Absent when the file has to be read again, whether it changes or not. */
  readonly signature?: FileSignature;
  /** By `objectKey`. */
  readonly objects: ReadonlyMap<string, HeldObject>;
  readonly problems: readonly Problem[];
}

/** @param name with its namespace: `qualifiedName` */
export function objectKey(kind: string, name: string): string {
  return `${kind}/${name}`;
}

/**
 * Turns the text of a file into objects. What cannot be used is told as a problem, and stays as
 * `previous` had it: the whole file when its syntax is broken, else one object; and when there is a
 * document of which it cannot be told what it is, all objects that are missing now, for it may be
 * one of them.
 *
 * @param cluster Kubernetes' own kinds that are taken; without it the others are left alone
 */
export async function loadText(
  path: string,
  text: string,
  previous: LoadedFile | undefined,
  nowMs: number,
  cluster?: ClusterKinds,
): Promise<Pick<LoadedFile, "objects" | "problems">> {
  const { documents, faults } = parseManifestText(text);
  if (faults !== undefined) {
    const problems = faults.map(({ code, line, message }) =>
      fileProblem(code, path, message, { line }),
    );
    return { objects: previous?.objects ?? new Map(), problems };
  }
  const load = new Load(path, previous, nowMs, cluster);
  for (const document of documents) {
    load.add(document);
    // A file of many large sets must not hold the event loop for all of them at once.
    await setImmediate();
  }
  return load.finish();
}

class Load {
  readonly #path: string;
  readonly #previous: LoadedFile | undefined;
  readonly #nowMs: number;
  readonly #cluster: ClusterKinds | undefined;
  readonly #objects = new Map<string, HeldObject>();
  readonly #problems: Problem[] = [];
  #hasUnknown = false;

  constructor(
    path: string,
    previous: LoadedFile | undefined,
    nowMs: number,
    cluster: ClusterKinds | undefined,
  ) {
    this.#path = path;
    this.#previous = previous;
    this.#nowMs = nowMs;
    this.#cluster = cluster;
  }

  add(document: TextDocument): void {
    let value: unknown;
    try {
      value = document.read();
    } catch (error) {
      const { line } = document;
      const message = error instanceof Error ? error.message : String(error);
      this.#problems.push(fileProblem("SLUICE_YAML_SYNTAX", this.#path, message, { line }));
      this.#hasUnknown = true;
      return;
    }
    for (const { value: item, path } of expandList(value)) {
      const line = path.length === 0 ? document.line : (document.lineOf(path) ?? document.line);
      this.#admit({
        value: item,
        origin: { source: this.#path, line },
        lineOf: (field) => document.lineOf([...path, ...field]),
      });
    }
  }

  #admit(document: ManifestDocument): void {
    const { identity, admitted, problems } = admit(document, this.#nowMs, this.#cluster);
    this.#problems.push(...problems);
    if (identity.type === "unknown") this.#hasUnknown = true;
    if (identity.type !== "known") return;
    const { type: _, ...identified } = identity;
    const key = objectKey(identity.kind, qualifiedName(identity));
    const line = document.origin.line ?? 1;
    const first = this.#objects.get(key);
    if (first !== undefined) {
      this.#problems.push(duplicateProblem(this.#path, line, first, this.#path));
      return;
    }
    const held =
      admitted === undefined ? this.#previous?.objects.get(key) : { ...identified, line, admitted };
    if (held !== undefined) this.#objects.set(key, held);
  }

  finish(): Pick<LoadedFile, "objects" | "problems"> {
    if (this.#hasUnknown) {
      for (const [key, held] of this.#previous?.objects ?? []) {
        if (!this.#objects.has(key)) this.#objects.set(key, held);
      }
    }
    return { objects: this.#objects, problems: this.#problems };
  }
}

/** A problem of a whole file or folder. */
export function fileProblem(
  code: ManifestCode,
  path: string,
  message: string,
  more: { readonly line?: number | undefined; readonly remedy?: string | undefined } = {},
): Problem {
  const { line, remedy = manifestCodes[code] } = more;
  const origin = line === undefined ? { source: path } : { source: path, line };
  return { severity: "error", code, origin, message, remedy };
}

/** The problem of a file or folder that an error tells of. */
export function problemOfError(path: string, error: unknown): Problem {
  if (error instanceof SluiceError && Object.hasOwn(manifestCodes, error.code)) {
    const { remedy } = error;
    return fileProblem(error.code as ManifestCode, path, error.problem, { remedy });
  }
  const message = error instanceof Error ? error.message : String(error);
  return fileProblem("SLUICE_FILE_UNREADABLE", path, message);
}

/** The problem of an object that another one of the same kind and name keeps out. */
export function duplicateProblem(
  path: string,
  line: number,
  first: HeldObject,
  firstPath: string,
): Problem {
  const { kind } = first;
  const place = `${firstPath}:${first.line}`;
  return {
    ...fileProblem(
      "SLUICE_DUPLICATE_OBJECT",
      path,
      `the same ${kind} is defined at ${place}, which stays in force`,
      { line },
    ),
    kind,
    name: qualifiedName(first),
  };
}
