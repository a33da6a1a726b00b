import { type Decoded, decode, type Message, message } from "./protobuf.js";

export const protobufType = "application/vnd.kubernetes.protobuf";

/** Largest frame that is taken: etcd takes objects of 1.5 MiB. */
const mostFrameBytes = 32 << 20;
const lengthBytes = 4;

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
  let rest: readonly Buffer[] = [];
  let size = 0;
  return (chunk) => {
    size += chunk.length;
    // Most frames come in one piece; a large one is put together once, when its last piece is there.
    rest = [...rest, chunk];
    if (size < lengthBytes) return;
    if (size < frameEnd(rest)) return;
    let bytes = rest.length === 1 ? chunk : Buffer.concat(rest, size);
    while (bytes.length >= lengthBytes) {
      const end = frameEnd([bytes]);
      if (bytes.length < end) break;
      onEvent(readEvent(bytes.subarray(lengthBytes, end), object));
      bytes = bytes.subarray(end);
    }
    rest = bytes.length === 0 ? [] : [bytes];
    size = bytes.length;
  };
}

/** How many bytes the first frame takes with its length. */
function frameEnd(pieces: readonly Buffer[]): number {
  const [first] = pieces;
  const head = first!.length >= lengthBytes ? first! : Buffer.concat(pieces);
  const end = lengthBytes + head.readUInt32BE();
  if (end > mostFrameBytes)
    throw new RangeError(`one event is larger than ${mostFrameBytes} bytes`);
  return end;
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
