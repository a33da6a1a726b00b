import type { ServerResponse } from "node:http";
import type { Engine } from "./engine.js";
import { apiError } from "./errors.js";
import type { EventLine } from "./requests.js";

interface Stream {
  readonly response: ServerResponse;
  /** Events not sent since its last line. */
  lost: number;
}

export interface EventStreams {
  /** Sends events down this response until its reader goes. */
  add(response: ServerResponse): void;
  close(reason: string): void;
}

const mostStreams = 16;
/** What may wait for a slow reader, some thousand events, before events are counted as lost. */
const mostWaitingBytes = 1024 * 1024;

/** Fans the engine's events out to readers; the engine is listened to only while there are any. */
export function openEventStreams(engine: Engine): EventStreams {
  const streams = new Set<Stream>();
  let stop: (() => void) | undefined;

  function write(line: EventLine): void {
    const text = encode(line);
    for (const stream of streams) {
      if (stream.response.writableLength > mostWaitingBytes) {
        stream.lost++;
        continue;
      }
      tellLost(stream);
      stream.response.write(text);
    }
  }

  return {
    add(response) {
      if (streams.size >= mostStreams) {
        throw apiError("SLUICE_API_BUSY", `${mostStreams} readers follow the events already`);
      }
      const stream: Stream = { response, lost: 0 };
      response.writeHead(200, {
        "content-type": "application/x-ndjson",
        "cache-control": "no-store",
      });
      response.flushHeaders();
      streams.add(stream);
      stop ??= engine.onEvent((event) => write({ event }));
      response.on("drain", () => tellLost(stream));
      response.once("close", () => {
        streams.delete(stream);
        if (streams.size > 0) return;
        stop?.();
        stop = undefined;
      });
    },
    close(reason) {
      for (const { response } of streams) {
        response.end(encode({ end: reason }));
      }
    },
  };
}

function tellLost(stream: Stream): void {
  if (stream.lost === 0) return;
  stream.response.write(encode({ lost: stream.lost }));
  stream.lost = 0;
}

function encode(line: EventLine): string {
  return `${JSON.stringify(line)}\n`;
}
