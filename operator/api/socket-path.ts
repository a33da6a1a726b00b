import { lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { connect, type Server } from "node:net";
import { dirname } from "node:path";
import { apiError } from "./errors.js";

/** `sun_path` of unix(7), without its NUL. */
const longestPath = 107;

/**
 * Makes a server listen on a unix socket of mode 0600; makes its folder when absent. A socket on
 * which nobody answers is one that a killed agent left, and is replaced; any other file is left
 * alone.
 *
 * @throws SluiceError SLUICE_AGENT_RUNNING, SLUICE_SOCKET_PATH
 */
export async function listenOnSocket(server: Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > longestPath) {
    throw apiError(
      "SLUICE_SOCKET_PATH",
      `cannot listen on ${path}: a socket's path has at most ${longestPath} bytes`,
      { remedy: "Choose a shorter --socket" },
    );
  }
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    await removeStale(path);
    await listen(server, path);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && String(cause.code).startsWith("SLUICE_")) {
      throw cause;
    }
    const why = cause instanceof Error ? cause.message : String(cause);
    throw apiError("SLUICE_SOCKET_PATH", `cannot listen on ${path}: ${why}`, {
      remedy: "Check the folder and its permissions, or choose another --socket",
      cause,
    });
  }
}

async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw apiError("SLUICE_SOCKET_PATH", `cannot listen on ${path}: it is no socket`);
  }
  if (await answers(path)) {
    throw apiError("SLUICE_AGENT_RUNNING", `cannot listen on ${path}: another agent answers there`);
  }
  unlinkSync(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") resolve(false);
      // A full backlog: somebody is there.
      else if (error.code === "EAGAIN") resolve(true);
      else reject(error);
    });
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    // bind(2) happens inside listen(), so the file never has a wider mode.
    const before = process.umask(0o177);
    try {
      server.listen({ path }, () => {
        server.off("error", reject);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}
