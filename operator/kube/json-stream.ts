/** Longest JSON text of one object: etcd takes 1.5 MiB, and escapes can make it longer. */
const mostObjectBytes = 32 << 20;

/** Bytes of one text that comes in pieces. */
class Pieces {
  #pieces: Buffer[] = [];
  #size = 0;

  add(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#size += piece.length;
    if (this.#size > mostObjectBytes) {
      throw new Error(`one object is larger than ${mostObjectBytes} bytes`);
    }
    this.#pieces.push(piece);
  }

  /** All of it as text, most often out of one piece. */
  take(last: Buffer): string {
    if (this.#pieces.length === 0) return last.toString("utf8");
    this.add(last);
    const text = Buffer.concat(this.#pieces, this.#size).toString("utf8");
    this.#pieces = [];
    this.#size = 0;
    return text;
  }

  get isEmpty(): boolean {
    return this.#size === 0;
  }
}

const managedFields = '"managedFields":[';

/**
 * Parses an object without the entries of its `managedFields`: they are half of a Pod's text and more than half of the
 * work, and nobody here reads them. Their end is taken to be the first `}]`. If that is not it, what is left is no JSON,
 * since it has a quote or a bracket too many, and the whole is parsed.
 *
 * @throws on what is no JSON
 */
function parseObject(text: string): unknown {
  const at = text.indexOf(`${managedFields}{`);
  const end = at === -1 ? -1 : text.indexOf("}]", at);
  if (end === -1) return JSON.parse(text) as unknown;
  try {
    return JSON.parse(text.slice(0, at + managedFields.length) + text.slice(end + 1)) as unknown;
  } catch {
    return JSON.parse(text) as unknown;
  }
}

/**
 * Cuts a watch, which is one JSON text per line, into its values; the `managedFields` of their objects are empty.
 *
 * @returns takes the next bytes; throws on what is no JSON
 */
export function jsonLines(onValue: (value: unknown) => void): (chunk: Buffer) => void {
  const rest = new Pieces();
  return (chunk) => {
    let start = 0;
    for (let end; (end = chunk.indexOf(0x0a, start)) !== -1; start = end + 1) {
      const text = rest.take(chunk.subarray(start, end));
      if (text !== "") onValue(parseObject(text));
    }
    rest.add(chunk.subarray(start));
  };
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

export interface JsonList {
  /** Takes the next bytes. @throws on what is no JSON */
  write(chunk: Buffer): void;
  /** The list without its items. @throws when the text is not complete */
  end(): unknown;
}

/**
 * Takes the items out of a list, `{…, "items": […], …}`, one by one as they come, so that no more than one item is parsed
 * at a time; their `managedFields` are empty. Written for what an API server sends: the braces are counted, each item is left to JSON.parse.
 */
export function jsonList(onItem: (item: unknown) => void): JsonList {
  const outside = new Pieces();
  const item = new Pieces();
  let depth = 0;
  let isText = false;
  let isEscaped = false;
  let isInItems = false;
  /** End of what stands outside of items, to recognise the key in front of a bracket. */
  let tail = "";

  const keepOutside = (piece: Buffer) => {
    outside.add(piece);
    tail = (tail + piece.toString("latin1")).slice(-32);
  };
  return {
    write(chunk) {
      let start = 0;
      for (let at = 0; at < chunk.length; at++) {
        const byte = chunk[at];
        if (isText) {
          if (isEscaped) isEscaped = false;
          else if (byte === BACKSLASH) isEscaped = true;
          else if (byte === QUOTE) isText = false;
          continue;
        }
        if (byte === QUOTE) {
          isText = true;
        } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
          if (depth === 2 && isInItems) {
            keepOutside(chunk.subarray(start, at));
            start = at;
          } else if (depth === 1 && byte === OPEN_BRACKET) {
            keepOutside(chunk.subarray(start, at));
            start = at;
            isInItems = /"items"\s*:\s*$/.test(tail);
          }
          depth++;
        } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
          depth--;
          if (depth === 2 && isInItems) {
            onItem(parseObject(item.take(chunk.subarray(start, at + 1))));
            start = at + 1;
          } else if (depth === 1) {
            isInItems = false;
          }
        }
      }
      const left = chunk.subarray(start);
      if (isInItems && depth > 2) item.add(left);
      else keepOutside(left);
    },
    end() {
      if (depth !== 0 || outside.isEmpty) throw new Error("the list ends in the middle");
      // Between the items their commas are left.
      const text = outside.take(Buffer.alloc(0));
      return JSON.parse(text.replace(/("items"\s*:\s*\[)[\s,]*\]/, "$1]")) as unknown;
    },
  };
}
