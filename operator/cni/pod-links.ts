import type { Attachment } from "./attachment.js";

/** The host's end of a veth, as it is found. */
export interface FoundLink {
  readonly hostName: string;
  readonly alias: string | undefined;
  /** Bytes of payload. */
  readonly mtu: number;
}

/**
 * The veths of pods. Every call but `remove` is synchronous and short: it works in the network namespace of a pod, which the whole
 * thread enters.
 */
export interface PodLinks {
  /**
   * Makes the veth and everything on the pod's end. The host's end stays down, so nothing passes yet. An
   * end that an interrupted call left on the host is replaced.
   *
   * @throws SluiceError SLUICE_CNI_NO_NETNS, SLUICE_CNI_EXISTS when the pod has an interface of this name,
   *   SLUICE_CNI_LINK; nothing is left then
   */
  create(attachment: Attachment): void;
  /** Takes the host's end up, with the routes to the pod. @throws SluiceError SLUICE_CNI_LINK */
  activate(attachment: Attachment): void;
  /** What is not as it was made; undefined when all is. */
  check(attachment: Attachment): string | undefined;
  /**
   * Removes both ends; nothing to do when they are gone. It takes tens of milliseconds, in which this thread goes on.
   *
   * @throws SluiceError SLUICE_CNI_LINK
   */
  remove(hostName: string): void | Promise<void>;
  /** The host's ends there are. */
  list(): readonly FoundLink[];
}
