import { type Document, isScalar, Scalar, visit, type YAMLSeq } from "yaml";

/**
 * Reads long lists of addresses past the YAML library.
 *
 * The library takes 9 µs for each list entry: a set of 50,000 would hold the event loop for half a
 * second. Yet such lists are runs of lines `  - 192.0.2.0/24` of one indentation, and nothing else.
 * So each run is replaced by one entry with a placeholder, the library parses what is left, and the
 * entries are put back into the parsed document.
 *
 * Why this cannot change the meaning: the placeholder is put back only where the library found it
 * as a whole plain entry of a block list. Then every line of the run, alike but for the text, is
 * such an entry too: the text has no character that ends a plain or quoted scalar, and is a string
 * whatever its value, because numbers have no `/` or `:` and at most one `.`. Where the library
 * found the placeholder elsewhere, in a comment, a block scalar or a continued line, nothing is
 * lifted.
 */
const SHORTEST_RUN = 32;
const PLACEHOLDER = "sluice-scalar-run-";

const SPACE = 32;
const HASH = 35;
const DASH = 45;
const DOT = 46;
const SLASH = 47;
const COLON = 58;
const NEWLINE = 10;
const RETURN = 13;
const DOUBLE_QUOTE = 34;
const SINGLE_QUOTE = 39;

/** Entries of consecutive lines that stand for one placeholder. */
export interface ScalarRun {
  readonly placeholder: string;
  readonly entries: readonly string[];
  /** Some entry stands in quotes. */
  readonly hasQuotes: boolean;
  /** 1-based line of the first entry, in the original text and in the shortened one. */
  readonly line: number;
  readonly shortenedLine: number;
}

export interface LiftedText {
  readonly text: string;
  readonly runs: readonly ScalarRun[];
}

/** Takes all runs out of a text; without any, the text is the same. */
export function liftRuns(text: string): LiftedText {
  const runs: ScalarRun[] = [];
  // YAML 1.1, if a document asks for it, has numbers with colons.
  if (text.includes(PLACEHOLDER) || text.includes("%YAML")) return { text, runs };
  const pieces: string[] = [];
  let copied = 0;
  let removedLines = 0;
  let lineNumber = 1;
  let start = 0;
  while (start < text.length) {
    const indent = indentOfEntry(text, start);
    const run = indent < 0 ? undefined : readRun(text, start, indent);
    if (run === undefined) {
      start = nextLine(text, start);
      lineNumber++;
      continue;
    }
    const count = run.entries.length;
    if (count >= SHORTEST_RUN) {
      const placeholder = `${PLACEHOLDER}${runs.length}`;
      pieces.push(text.slice(copied, start), " ".repeat(indent), "- ", placeholder, "\n");
      copied = run.end;
      const shortenedLine = lineNumber - removedLines;
      const { entries, hasQuotes } = run;
      runs.push({ placeholder, entries, hasQuotes, line: lineNumber, shortenedLine });
      removedLines += count - 1;
    }
    start = run.end;
    lineNumber += count;
  }
  if (runs.length === 0) return { text, runs };
  pieces.push(text.slice(copied));
  return { text: pieces.join(""), runs };
}

function nextLine(text: string, start: number): number {
  const newline = text.indexOf("\n", start);
  return newline < 0 ? text.length : newline + 1;
}

/** Blanks before the dash of a list entry; −1 when the line is none. */
function indentOfEntry(text: string, start: number): number {
  let at = start;
  while (text.charCodeAt(at) === SPACE) at++;
  return text.charCodeAt(at) === DASH && text.charCodeAt(at + 1) === SPACE ? at - start : -1;
}

interface Run {
  readonly entries: readonly string[];
  readonly hasQuotes: boolean;
  /** Offset behind the last line. */
  readonly end: number;
}

function readRun(text: string, start: number, indent: number): Run | undefined {
  const entries: string[] = [];
  let hasQuotes = false;
  let end = start;
  while (end < text.length && indentOfEntry(text, end) === indent) {
    const token = readToken(text, end + indent + 1);
    if (token === undefined) break;
    entries.push(token);
    hasQuotes ||= isTokenQuoted;
    end = tokenEnd;
  }
  return entries.length === 0 ? undefined : { entries, hasQuotes, end };
}

/** Offset behind the line of the token last read. */
let tokenEnd = 0;
let isTokenQuoted = false;

/** The address behind the dash, when the rest of the line is blank or a comment. */
function readToken(text: string, afterDash: number): string | undefined {
  let at = afterDash;
  while (text.charCodeAt(at) === SPACE) at++;
  const first = text.charCodeAt(at);
  const mark = first === DOUBLE_QUOTE || first === SINGLE_QUOTE ? first : 0;
  isTokenQuoted = mark !== 0;
  if (isTokenQuoted) at++;
  const start = at;
  let dots = 0;
  let hasSign = false;
  for (; ; at++) {
    const code = text.charCodeAt(at);
    if (code === DOT) dots++;
    else if (code === SLASH || code === COLON) hasSign = true;
    else if (!((code >= 48 && code <= 57) || (code >= 97 && code <= 102))) break;
  }
  const token = text.slice(start, at);
  if (isTokenQuoted) {
    if (text.charCodeAt(at) !== mark) return undefined;
    at++;
  } else if (text.charCodeAt(at - 1) === COLON || (dots < 2 && !hasSign)) {
    return undefined;
  }
  const isSeparated = text.charCodeAt(at) === SPACE;
  while (text.charCodeAt(at) === SPACE) at++;
  if (text.charCodeAt(at) === HASH && isSeparated) {
    tokenEnd = nextLine(text, at);
    return text.charCodeAt(tokenEnd - 1) === NEWLINE ? token : undefined;
  }
  if (text.charCodeAt(at) === RETURN) at++;
  if (text.charCodeAt(at) !== NEWLINE) return undefined;
  tokenEnd = at + 1;
  return token;
}

/** A list of a document that has placeholders among its entries. */
export interface LiftedList {
  readonly list: YAMLSeq;
  /** By index of the entry in the shortened list. */
  readonly runs: ReadonlyMap<number, ScalarRun>;
}

/**
 * Finds the lists that the runs were taken from.
 *
 * @returns undefined when a run was not part of a list: then the text has to be parsed as it was
 */
export function findLiftedLists(
  documents: readonly Document[],
  runs: readonly ScalarRun[],
): ReadonlyMap<Document, readonly LiftedList[]> | undefined {
  const byPlaceholder = new Map<unknown, ScalarRun>(runs.map((run) => [run.placeholder, run]));
  const found = new Map<Document, LiftedList[]>();
  for (const document of documents) {
    const lists: LiftedList[] = [];
    visit(document, {
      Seq: (_, list) => {
        const here = new Map<number, ScalarRun>();
        for (const [index, item] of list.items.entries()) {
          const run = isScalar(item) && isBare(item) ? byPlaceholder.get(item.value) : undefined;
          if (run !== undefined && list.flow !== true && byPlaceholder.delete(run.placeholder)) {
            here.set(index, run);
          }
        }
        if (here.size > 0) lists.push({ list, runs: here });
      },
    });
    found.set(document, lists);
  }
  return byPlaceholder.size === 0 ? found : undefined;
}

function isBare(scalar: Scalar): boolean {
  return scalar.type === Scalar.PLAIN && scalar.anchor === undefined && scalar.tag === undefined;
}

/** Puts the entries back into their list. */
export function restoreRuns({ list, runs }: LiftedList): void {
  const items: unknown[] = [];
  for (const [index, item] of list.items.entries()) {
    const run = runs.get(index);
    if (run === undefined) items.push(item);
    else for (const entry of run.entries) items.push(new Scalar(entry));
  }
  list.items = items;
}
