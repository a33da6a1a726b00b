/**
 * What is read of a field: a text, bytes, a whole number, true or false, the entries of a map of texts, a number or a
 * text (IntOrString), or a message.
 */
export type FieldType = "text" | "bytes" | "integer" | "flag" | "map" | "number or text" | Message;

/** The fields of a message that are read, by their number; all others are skipped, unread. */
export type Message = readonly (Field | undefined)[];

interface Field {
  /** As in JSON. */
  readonly name: string;
  readonly type: FieldType;
  readonly isList: boolean;
}

/**
 * Describes a message.
 *
 * @param fields numbers and types by the names in JSON
 * @example message({ name: [1, "text"], addresses: [2, "text", "list"] })
 */
export function message(
  fields: Readonly<Record<string, readonly [number: number, type: FieldType, isList?: "list"]>>,
): Message {
  const table: (Field | undefined)[] = [];
  for (const [name, [number, type, isList]] of Object.entries(fields)) {
    table[number] = { name, type, isList: isList === "list" };
  }
  // Without holes, which would make each look-up slow.
  return Array.from(table);
}

export type Decoded = Readonly<Record<string, unknown>>;

/**
 * Reads a message into an object as its JSON would give. The API server writes empty texts and zeros that its JSON leaves
 * out: they are left out here, too.
 *
 * @throws RangeError on what is no such message
 */
export function decode(bytes: Buffer, message: Message): Decoded {
  return new Reader(bytes).message(bytes.length, message);
}

/** Of the lowest three bits of a tag. */
const Wire = { varint: 0, fixed64: 1, length: 2, fixed32: 5 } as const;
const intOrString = message({ type: [1, "integer"], intVal: [2, "integer"], strVal: [3, "text"] });

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  message(end: number, message: Message): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    while (this.#at < end) {
      const tag = this.#varint();
      const field = message[tag >>> 3];
      const wire = tag & 7;
      if (field === undefined) {
        this.#skip(wire);
      } else {
        const value =
          wire === Wire.length
            ? this.#long(field.type, object[field.name])
            : this.#short(field.type, wire);
        if (field.isList) ((object[field.name] ??= []) as unknown[]).push(value);
        else if (value !== "" && value !== 0) object[field.name] = value;
      }
    }
    if (this.#at !== end) throw new RangeError("a message ends in the middle of a field");
    return object;
  }

  #short(type: FieldType, wire: number): number | boolean {
    if (wire !== Wire.varint || (type !== "integer" && type !== "flag")) {
      throw new RangeError(`a field has the wrong wire type ${wire}`);
    }
    const value = this.#varint();
    return type === "flag" ? value !== 0 : value;
  }

  #long(type: FieldType, before: unknown): unknown {
    const end = this.#end();
    switch (type) {
      case "text": {
        const text = this.#bytes.toString("utf8", this.#at, end);
        this.#at = end;
        return text;
      }
      case "bytes": {
        const bytes = this.#bytes.subarray(this.#at, end);
        this.#at = end;
        return bytes;
      }
      case "map":
        return this.#entry(end, (before ?? {}) as Record<string, string>);
      case "number or text": {
        const { type: kind, intVal = 0, strVal = "" } = this.message(end, intOrString);
        return kind === 1 ? strVal : intVal;
      }
      case "integer":
      case "flag":
        throw new RangeError("a number is written as a text");
      default:
        return this.message(end, type);
    }
  }

  #entry(end: number, map: Record<string, string>): Record<string, string> {
    let key = "";
    let value = "";
    while (this.#at < end) {
      const tag = this.#varint();
      const textEnd = this.#end();
      const text = this.#bytes.toString("utf8", this.#at, textEnd);
      this.#at = textEnd;
      if (tag >>> 3 === 1) key = text;
      else value = text;
    }
    // Not by assignment, which would treat a key `__proto__` as something else.
    if (key === "__proto__") Object.defineProperty(map, key, { value, enumerable: true });
    else map[key] = value;
    return map;
  }

  /** End of what has its length in front. */
  #end(): number {
    const length = this.#varint();
    const end = this.#at + length;
    if (!(end <= this.#bytes.length)) throw new RangeError("a field is longer than its message");
    return end;
  }

  #skip(wire: number): void {
    if (wire === Wire.varint) this.#varint();
    else if (wire === Wire.length) this.#at = this.#end();
    else if (wire === Wire.fixed64) this.#at += 8;
    else if (wire === Wire.fixed32) this.#at += 4;
    else throw new RangeError(`there is no wire type ${wire}`);
  }

  /** Exact up to 2⁵³, which is more than any field that is read can be. */
  #varint(): number {
    const bytes = this.#bytes;
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[this.#at++];
      if (byte === undefined) throw new RangeError("a number ends in the middle");
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }
}

const Time = message({ seconds: [1, "integer"] });

const metaFields = {
  name: [1, "text"],
  namespace: [3, "text"],
  uid: [5, "text"],
  resourceVersion: [6, "text"],
  generation: [7, "integer"],
  deletionTimestamp: [9, Time],
  labels: [11, "map"],
  annotations: [12, "map"],
} as const;

/**
 * What is read of the metadata of each object: `managedFields` are not. A time is the same as in JSON only in that it is
 * there: it holds its seconds.
 */
export const ObjectMeta = message(metaFields);

/** The same of objects whose age matters. */
export const AgedObjectMeta = message({ ...metaFields, creationTimestamp: [8, Time] });
