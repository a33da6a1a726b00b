import type { Attachment } from "./attachment.js";

/** What judges the packets of pods: the programs on the host's ends, and the policy in their tables. */
export interface PodNetwork {
  /**
   * Resolves when the pod's policy is in the kernel and its packets are judged by it. The host's end exists and is
   * down, or up when the agent was restarted: then what is there is taken over. May be called again for the same pod.
   *
   * @throws what is wrong; the attachment is undone then. SLUICE_CNI_TRY_AGAIN is told to the runtime as it is
   */
  attach(attachment: Attachment): Promise<void>;
  /** Lets everything go that belongs to the pod; nothing to do when nothing does. The link may be gone. */
  detach(attachment: Attachment): Promise<void>;
  /** What is not as it was attached; undefined when all is. */
  check(attachment: Attachment): Promise<string | undefined>;
}
