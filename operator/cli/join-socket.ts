import { once } from "node:events";
import { connect } from "node:net";
import { pipeline, type Readable, type Writable } from "node:stream";
import { pipeline as pipelineToEnd } from "node:stream/promises";

const lingerMs = 30_000;

/**
 * Joins a unix socket to two streams, byte by byte. The end of the input is passed on, and what the other side still
 * sends is written; then this resolves. The output is left open. An agent that for `silenceMs` neither reads what it is sent nor
 * says anything to a caller who has gone is given up: it hangs, and would keep this process for ever.
 *
 * @throws the system's error when nobody listens, or the connection breaks
 */
export async function joinSocket(
  path: string,
  input: Readable,
  output: Writable,
  silenceMs = lingerMs,
): Promise<void> {
  const socket = connect({ path, allowHalfOpen: true });
  socket.setTimeout(silenceMs);
  socket.on("timeout", () => {
    // A stream of events may be silent for long; what was asked must be read, and a caller who went waits for nothing.
    if (socket.writableLength === 0 && !input.closed) socket.setTimeout(silenceMs);
    else socket.destroy(new Error(`the agent was silent for ${silenceMs / 1000} s`));
  });
  try {
    await once(socket, "connect");
    // Its failures end the socket, and are seen there.
    pipeline(input, socket, () => {});
    await pipelineToEnd(socket, output, { end: false });
  } finally {
    socket.destroy();
    // Else an input that stays open would keep the process.
    input.destroy();
  }
}
