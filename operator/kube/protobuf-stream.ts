import { type Decoded, decode, type Message, message } from "./protobuf.js";

export const protobufType = "application/vnd.kubernetes.protobuf";

/** Largest frame that is taken: etcd takes objects of 1.5 MiB. */
const mostFrameBytes = 32 << 20;
const lengthBytes = 4;
const leastRoomBytes = 16 << 10;
/** Room for a larger frame is given back. */
const mostRoomBytes = 256 << 10;

/** In front of each object that stands by itself. */
const magic = Buffer.from("k8s\0");
const WatchEvent = message({ type: [1, "text"], object: [2, message({ raw: [1, "bytes"] })] });
const Unknown = message({ typeMeta: [1, message({ kind: [2, "text"] })], raw: [2, "bytes"] });
const Status = message({ message: [3, "text"], reason: [4, "text"], code: [6, "integer"] });

/**
 * Cuts a watch in protobuf, which is one event per frame with its length in front, into the events that its JSON would
 * give.
 *
 * @param object what is read of each object
 * @returns takes the next bytes; throws on what is no event
 */
export function protobufEvents(
  object: Message,
  onEvent: (event: unknown) => void,
): (chunk: Buffer) => void {
  const begun = new Frame();
  return (chunk) => {
    let at = 0;
    while (at < chunk.length) {
      const end = begun.isEmpty ? frameEnd(chunk, at) : undefined;
      if (end !== undefined && end <= chunk.length) {
        onEvent(readEvent(chunk.subarray(at + lengthBytes, end), object));
        at = end;
      } else {
        at += begun.add(chunk, at);
        const frame = begun.takeWhole();
        if (frame !== undefined) onEvent(readEvent(frame, object));
      }
    }
  };
}

/** Where the frame that begins in these bytes ends; undefined while its length is not all there. */
function frameEnd(bytes: Buffer, at: number): number | undefined {
  if (bytes.length - at < lengthBytes) return undefined;
  const length = bytes.readUInt32BE(at);
  if (length > mostFrameBytes) {
    throw new RangeError(`one event is larger than ${mostFrameBytes} bytes`);
  }
  return at + lengthBytes + length;
}

/** A frame that comes in several pieces. Its bytes lie in one buffer that is used again and again. */
class Frame {
  #bytes = Buffer.allocUnsafe(leastRoomBytes);
  #size = 0;

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** Takes what is missing; returns how many bytes that were. */
  add(chunk: Buffer, at: number): number {
    const end = this.#end() ?? lengthBytes;
    if (end > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(end);
      this.#bytes.copy(larger, 0, 0, this.#size);
      this.#bytes = larger;
    }
    const count = chunk.copy(this.#bytes, this.#size, at, at + end - this.#size);
    this.#size += count;
    return count;
  }

  /** The frame without its length when all of it is there; good until more is added. */
  takeWhole(): Buffer | undefined {
    const end = this.#end();
    if (end !== this.#size) return undefined;
    const frame = this.#bytes.subarray(lengthBytes, end);
    if (end > mostRoomBytes) this.#bytes = Buffer.allocUnsafe(leastRoomBytes);
    this.#size = 0;
    return frame;
  }

  #end(): number | undefined {
    return this.#size < lengthBytes ? undefined : frameEnd(this.#bytes, 0);
  }
}

function readEvent(frame: Buffer, message: Message): unknown {
  const { type, object } = decode(frame, WatchEvent) as {
    readonly type?: string;
    readonly object?: { readonly raw?: Buffer };
  };
  if (object?.raw === undefined) throw new RangeError("an event has no object");
  return { type, object: readObject(object.raw, message) };
}

/**
 * Reads an object that stands by itself: of the kind that is meant, or a Status.
 *
 * @throws RangeError
 */
export function readObject(bytes: Buffer, message: Message): Decoded {
  if (!bytes.subarray(0, magic.length).equals(magic)) throw new RangeError("it is no object");
  const { typeMeta, raw } = decode(bytes.subarray(magic.length), Unknown) as {
    readonly typeMeta?: { readonly kind?: string };
    readonly raw?: Buffer;
  };
  return decode(raw ?? Buffer.alloc(0), typeMeta?.kind === "Status" ? Status : message);
}
