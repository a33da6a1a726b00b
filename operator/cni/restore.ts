import { type Attachment, attachmentKey } from "./attachment.js";
import type { AttachmentParts } from "./attachments.js";
import { parseAlias } from "./link-alias.js";

export interface RestoredState {
  readonly attachments: readonly Attachment[];
  /** Addresses given out last. */
  readonly cursors: readonly string[];
}

/**
 * Compares what is on disk with the links that there are, and makes both the same. A link lives exactly as long as the
 * network namespace of its pod, so it decides: a path of a namespace that this process cannot see (a mount that
 * did not propagate) must not cost a running pod its network.
 *
 * | on disk | link | |
 * |---|---|---|
 * | complete | there | taken over |
 * | complete | gone | freed |
 * | pending | any | undone: the runtime was never told |
 * | nothing, or corrupt | with our alias, and sound | taken over, and written again |
 * | nothing, or corrupt | any other of our names | removed |
 *
 * @throws SluiceError SLUICE_CNI_STATE, SLUICE_CNI_LINK
 */
export async function restoreAttachments(parts: AttachmentParts): Promise<RestoredState> {
  const { store, links, network, log } = parts;
  const { attachments: stored, cursors, corrupt } = await store.load();
  for (const path of corrupt) {
    log.error(
      { path },
      "a state file of CNI is corrupt: put aside, its content is taken from the links",
    );
  }
  const found = new Map(links.list().map((link) => [link.hostName, link]));
  const kept = new Map<string, Attachment>();
  const stale: Attachment[] = [];
  for (const { attachment, isComplete } of stored) {
    const { hostName } = attachment;
    if (isComplete && found.has(hostName)) {
      kept.set(hostName, attachment);
      continue;
    }
    log.info({ attachment: attachmentKey(attachment), isComplete }, "freeing a stale attachment");
    found.delete(hostName);
    try {
      await links.remove(hostName);
      await network.detach(attachment);
      await store.remove(attachment);
    } catch (err) {
      // Its address stays taken; DEL and GC try again.
      log.error({ err, attachment: attachmentKey(attachment) }, "a stale attachment stays");
      stale.push(attachment);
    }
  }
  for (const { hostName, alias, mtu } of found.values()) {
    if (kept.has(hostName)) continue;
    const attachment = parseAlias(hostName, alias ?? "", mtu);
    if (attachment === undefined || links.check(attachment) !== undefined) {
      log.warn({ hostName, alias }, "removing a link that an interrupted call left");
      await links.remove(hostName);
      continue;
    }
    log.warn({ attachment: attachmentKey(attachment) }, "taking over a link without state");
    await store.begin(attachment);
    await store.finish(attachment);
    kept.set(hostName, attachment);
  }
  for (const attachment of kept.values()) {
    await network.attach(attachment).catch((err: unknown) => {
      // What is attached to the link stays there, so the pod is judged as before.
      log.error({ err, attachment: attachmentKey(attachment) }, "a pod could not be taken over");
    });
  }
  return { attachments: [...kept.values(), ...stale], cursors };
}
