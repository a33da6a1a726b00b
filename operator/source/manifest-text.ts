import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseAllDocuments,
  parseDocument,
} from "yaml";
import type { FieldPath } from "../model/finding.js";
import { findLiftedLists, type LiftedList, liftRuns, restoreRuns } from "./scalar-runs.js";

/** One document of a file, not yet turned into plain values. */
export interface TextDocument {
  /** 1-based line of its first content. */
  readonly line: number;
  /**
   * Plain values. To be called once: what it returns is the caller's.
   *
   * @throws Error when aliases would blow the document up
   */
  read(): unknown;
  /** 1-based line of a field, or of the nearest one above it that is there. */
  lineOf(path: FieldPath): number | undefined;
}

/** Why a text cannot be parsed. */
export interface SyntaxFault {
  readonly code: "SLUICE_YAML_SYNTAX" | "SLUICE_FILE_TOO_LARGE";
  readonly line?: number;
  readonly message: string;
}

export type ManifestText =
  | { readonly documents: readonly TextDocument[]; readonly faults?: never }
  | { readonly documents?: never; readonly faults: readonly SyntaxFault[] };

const OPTIONS = { merge: true, prettyErrors: false, logLevel: "silent" } as const;
const MOST_FAULTS = 5;
/** The library needs a quarter of a second and 100 MB for each megabyte. */
const LONGEST_YAML = 4 << 20;

/**
 * Splits the text of a manifest file into its documents. Text that begins with a brace is read as
 * JSON first, which is much faster; empty documents are left out.
 */
export function parseManifestText(text: string): ManifestText {
  if (/^\s*[{[]/.test(text)) {
    const value = parseJson(text);
    if (value !== undefined) return { documents: [jsonDocument(text, value)] };
  }
  const lifted = liftRuns(text);
  return (
    refuseLong(lifted.text) ??
    parseYaml(lifted.text, lifted.runs) ??
    refuseLong(text) ??
    parseYaml(text, [])!
  );
}

function refuseLong(text: string): ManifestText | undefined {
  if (text.length <= LONGEST_YAML) return undefined;
  const message =
    `has ${text.length} characters of YAML besides long lists of addresses, ` +
    `more than the ${LONGEST_YAML} that one file may have`;
  return { faults: [{ code: "SLUICE_FILE_TOO_LARGE", message }] };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The YAML library says where and why, and may read it after all.
    return undefined;
  }
}

function jsonDocument(text: string, value: unknown): TextDocument {
  /* A list of a thousand objects asks for a thousand lines. */
  let located: { readonly document: Document; readonly lines: LineCounter } | undefined;
  const locate = () => {
    const lines = new LineCounter();
    located ??= { document: parseDocument(text, { ...OPTIONS, lineCounter: lines }), lines };
    return located;
  };
  return {
    line: 1,
    read: () => value,
    lineOf: (path) => {
      if (text.length > LONGEST_LOCATED_JSON) return undefined;
      const { document, lines } = locate();
      return lineOfNode(document, path, [], (offset) => lines.linePos(offset).line);
    },
  };
}

/** Finding a line parses the text again, at a tenth of a second per megabyte. */
const LONGEST_LOCATED_JSON = 1 << 20;

type Runs = ReturnType<typeof liftRuns>["runs"];

/** @returns undefined when the text has to be parsed as it was: a run may be no part of a list */
function parseYaml(text: string, runs: Runs): ManifestText | undefined {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { ...OPTIONS, lineCounter: lines });
  const documents: readonly Document[] = Array.isArray(parsed) ? parsed : [];
  const lineAt = (offset: number) => originalLine(lines.linePos(offset).line, runs);
  const faults = documents.flatMap(({ errors }) => errors);
  if (faults.length > 0) {
    // A quote that is open above a run may close in it, where the library would have gone on.
    if (runs.some(({ hasQuotes }) => hasQuotes)) return undefined;
    return {
      faults: faults.slice(0, MOST_FAULTS).map(({ pos, message }) => ({
        code: "SLUICE_YAML_SYNTAX",
        line: lineAt(pos[0]),
        message,
      })),
    };
  }
  const lifted = findLiftedLists(documents, runs);
  if (lifted === undefined) return undefined;
  return {
    documents: documents
      .filter(({ contents }) => contents !== null && !isNull(contents))
      .map((document) => yamlDocument(document, lifted.get(document) ?? [], lineAt)),
  };
}

function isNull(node: unknown): boolean {
  return isScalar(node) && node.value === null;
}

/** The line in the file of a line in the text that the runs were taken from. */
function originalLine(line: number, runs: Runs): number {
  let removed = 0;
  for (const { shortenedLine, entries } of runs) {
    if (shortenedLine >= line) break;
    removed += entries.length - 1;
  }
  return line + removed;
}

function yamlDocument(
  document: Document,
  lists: readonly LiftedList[],
  lineAt: (offset: number) => number,
): TextDocument {
  return {
    line: lineAt(document.contents?.range?.[0] ?? 0),
    read: () => {
      for (const list of lists) restoreRuns(list);
      return document.toJS() as unknown;
    },
    lineOf: (path) => lineOfNode(document, path, lists, lineAt),
  };
}

function lineOfNode(
  document: Document,
  path: FieldPath,
  lists: readonly LiftedList[],
  lineAt: (offset: number) => number,
): number | undefined {
  let node: unknown = document.contents;
  let line = document.contents?.range && lineAt(document.contents.range[0]);
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => String(isScalar(key) ? key.value : key) === step);
      if (pair === undefined) break;
      if (isScalar(pair.key) && pair.key.range) line = lineAt(pair.key.range[0]);
      node = pair.value;
    } else if (isSeq(node) && typeof step === "number") {
      const lifted = lineOfLifted(node, step, lists);
      if (lifted !== undefined) return lifted;
      node = node.items[step];
      if (node === undefined) break;
      const { range } = node as { range?: [number, number, number] | null };
      if (range) line = lineAt(range[0]);
    } else {
      break;
    }
  }
  return line ?? undefined;
}

/** The line of an entry that was put back, and so has no place in the parsed text. */
function lineOfLifted(
  node: unknown,
  index: number,
  lists: readonly LiftedList[],
): number | undefined {
  let shift = 0;
  for (const [at, run] of lists.find(({ list }) => list === node)?.runs ?? []) {
    const first = at + shift;
    if (index < first) return undefined;
    if (index < first + run.entries.length) return run.line + index - first;
    shift += run.entries.length - 1;
  }
  return undefined;
}
