import { createServer, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { listenOnSocket } from "../api/socket-path.js";
import { Attachments, type AttachmentParts } from "./attachments.js";
import { drainDeleteQueue, queueFolderName } from "./delete-queue.js";
import { decodeRequest, encodeAnswer, headerBytes, requestBytes } from "./frame.js";
import { createPlugin, failureAnswer, type PluginAnswer, type PluginOptions } from "./plugin.js";

export interface CniServerOptions
  extends AttachmentParts,
    Pick<PluginOptions, "notReady" | "mtuBytes"> {
  readonly socketPath: string;
}

export interface CniServer {
  readonly attachments: Attachments;
  /** Ends when what is in work has ended; what is attached stays. */
  close(): Promise<void>;
}

/** A burst of pods, each with one call at a time. */
const mostConnections = 1024;
const requestTimeoutMs = 10_000;

/**
 * Serves the shim on a unix socket of mode 0600. Takes over what an earlier process left, and carries out the queued
 * removals, before it answers anything; whoever calls meanwhile waits.
 *
 * @throws SluiceError SLUICE_AGENT_RUNNING, SLUICE_SOCKET_PATH, SLUICE_CNI_STATE, SLUICE_CNI_LINK
 */
export async function startCniServer(options: CniServerOptions): Promise<CniServer> {
  const { socketPath, log } = options;
  const attachments = new Attachments(options);
  const plugin = createPlugin({ ...options, attachments });
  const inWork = new Set<Promise<void>>();
  let start: () => void = () => {};
  const started = new Promise<void>((resolve) => {
    start = resolve;
  });

  const server = createServer((socket) => {
    const work = serve(socket)
      .catch((err: unknown) => {
        log.warn({ err }, "a CNI call was cut off");
        socket.destroy();
      })
      .finally(() => inWork.delete(work));
    inWork.add(work);
  });
  server.maxConnections = mostConnections;

  async function serve(socket: Socket): Promise<void> {
    const bytes = await readRequest(socket).catch((error: unknown) => failureAnswer(error));
    if (bytes === undefined) return;
    await started;
    const answer = Buffer.isBuffer(bytes) ? await plugin(decodeRequest(bytes)) : bytes;
    await deliver(socket, answer);
  }

  async function deliver(socket: Socket, { exitCode, text, undo }: PluginAnswer): Promise<void> {
    if (!socket.destroyed) {
      socket.end(encodeAnswer(exitCode, text));
      return;
    }
    // Whoever asked is gone: what it will never know of would stay until the next GC.
    log.warn({}, "a CNI call ended before its answer");
    await undo?.();
  }

  await listenOnSocket(server, socketPath);
  const close = async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    await Promise.all(inWork);
    await closed;
  };
  try {
    await attachments.restore();
    await drainDeleteQueue(join(dirname(socketPath), queueFolderName), plugin, log);
  } catch (error) {
    start();
    await close();
    throw error;
  }
  start();
  return { attachments, close };
}

/** One whole request; undefined when the caller went away first. @throws SluiceError SLUICE_CNI_DECODE */
function readRequest(socket: Socket): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const settle = (work: () => void) => {
      socket.setTimeout(0);
      socket.off("data", onData);
      // What comes after is read and dropped, so that the end of the caller is noticed.
      socket.resume();
      work();
    };
    const onData = (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length < headerBytes) return;
      const bytes = Buffer.concat(chunks);
      try {
        const wanted = requestBytes(bytes);
        if (length >= wanted) settle(() => resolve(bytes.subarray(0, wanted)));
        else chunks.splice(0, chunks.length, bytes);
      } catch (error) {
        settle(() => reject(error));
      }
    };
    socket.on("data", onData);
    socket.once("error", () => socket.destroy());
    socket.once("close", () => resolve(undefined));
    // Nobody half-closes, so an end is the end of the caller.
    socket.once("end", () => socket.destroy());
    socket.setTimeout(requestTimeoutMs, () => socket.destroy());
  });
}
