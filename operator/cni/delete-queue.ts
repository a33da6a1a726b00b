import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { CniLog } from "./attachments.js";
import { decodeRequest, type RawRequest } from "./frame.js";
import type { Plugin } from "./plugin.js";

/** Beside the socket; `cni/sluice.c` writes there what it could not tell an agent. */
export const queueFolderName = "cni-queue";

/**
 * Carries out the removals that were asked for while no agent answered. What fails stays queued.
 *
 * @returns how many were carried out
 */
export async function drainDeleteQueue(
  folder: string,
  plugin: Plugin,
  log: CniLog,
): Promise<number> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  let done = 0;
  for (const name of (await readdir(folder)).sort()) {
    const path = join(folder, name);
    // Others are being written; the writer tries to reach the agent once more when its file is there.
    if (!name.endsWith(".del")) continue;
    const request = await readQueued(path);
    if (request === undefined) {
      log.error(
        { path },
        "a queued removal is not understood: forgotten; CNI GC frees what it was about",
      );
    } else if ((await plugin(request)).exitCode !== 0) {
      log.error({ path }, "a queued removal failed; it is tried again when the agent starts");
      continue;
    } else done++;
    await rm(path, { force: true });
  }
  if (done > 0) log.info({ done }, "carried out removals that were queued");
  return done;
}

async function readQueued(path: string): Promise<RawRequest | undefined> {
  try {
    const request = decodeRequest(await readFile(path));
    return request.environment.get("CNI_COMMAND") === "DEL" ? request : undefined;
  } catch {
    return undefined;
  }
}
