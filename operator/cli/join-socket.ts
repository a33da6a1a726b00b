import { once } from "node:events";
import { connect } from "node:net";
import { pipeline, type Readable, type Writable } from "node:stream";
import { pipeline as pipelineToEnd } from "node:stream/promises";

/**
 * Joins a unix socket to two streams, byte by byte. The end of the input is passed on, and what the other side still
 * sends is written; then this resolves. The output is left open.
 *
 * @throws the system's error when nobody listens, or the connection breaks
 */
export async function joinSocket(path: string, input: Readable, output: Writable): Promise<void> {
  const socket = connect({ path, allowHalfOpen: true });
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
