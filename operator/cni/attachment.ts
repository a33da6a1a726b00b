import { createHash } from "node:crypto";
import type { Addresses } from "./address-pool.js";
import type { Bandwidth } from "./bandwidth.js";
import type { PortMapping } from "./port-mappings.js";
import type { AttachmentId, PodIdentity } from "./request.js";

/** One interface of one container with all that was given to it. */
export interface Attachment extends AttachmentId {
  /** `name` of its network configuration; undefined: found again without. */
  readonly network: string | undefined;
  /** Path of the network namespace when it was attached; undefined: found again without. */
  readonly netns: string | undefined;
  /** The end of its veth on the host. */
  readonly hostName: string;
  /** Of the interface in the container. */
  readonly mac: string;
  /** Bytes of payload. */
  readonly mtu: number;
  readonly addresses: Addresses;
  readonly pod: PodIdentity;
  /** Missing: without limit. */
  readonly bandwidth?: Bandwidth;
  /** Missing: none. */
  readonly ports?: readonly PortMapping[];
}

export const hostNamePrefix = "slc";

/** A key for maps and messages. */
export function attachmentKey({ containerId, ifName }: AttachmentId): string {
  return `${containerId}/${ifName}`;
}

/** The host's end of a veth: a name that follows from whose it is, 14 characters. */
export function hostNameOf(id: AttachmentId): string {
  return `${hostNamePrefix}${digest("name", id).slice(0, 11)}`;
}

/** A unicast, locally administered address that follows from whose it is. */
export function macOf(id: AttachmentId): string {
  const bytes = Buffer.from(digest("mac", id).slice(0, 12), "hex");
  bytes.writeUInt8((bytes.readUInt8(0) & 0xfc) | 0x02, 0);
  return bytes.toString("hex").replaceAll(/(..)(?=.)/g, "$1:");
}

/** Name of its files in the state folder. */
export function fileNameOf(id: AttachmentId): string {
  return digest("file", id).slice(0, 32);
}

function digest(purpose: string, id: AttachmentId): string {
  return createHash("sha256")
    .update(`${purpose}\0${attachmentKey(id)}`)
    .digest("hex");
}
