import { setImmediate as nextTurn } from "node:timers/promises";
import { SluiceError } from "../errors.js";
import type { Cidr } from "../model/records.js";
import { type Addresses, AddressPool, type PoolUsage } from "./address-pool.js";
import { type Attachment, attachmentKey, hostNameOf, macOf } from "./attachment.js";
import type { AttachmentStore } from "./attachment-store.js";
import type { Bandwidth } from "./bandwidth.js";
import { cniError } from "./errors.js";
import type { PodLinks } from "./pod-links.js";
import { describePort, overlaps, type PortMapping } from "./port-mappings.js";
import type { PodNetwork } from "./pod-network.js";
import type { AttachmentId, PodIdentity } from "./request.js";
import { restoreAttachments } from "./restore.js";
import { Turns } from "./turns.js";

/** Calls of a burst that are in work at once; the others wait. */
const mostParallel = 16;

export interface CniLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface AttachmentParts {
  readonly store: AttachmentStore;
  readonly links: PodLinks;
  readonly network: PodNetwork;
  readonly log: CniLog;
  /** Told of each attempt to attach a pod; no error: it succeeded. */
  readonly onAttempt?: (pod: PodIdentity, error: Error | undefined) => void;
}

/** What ADD asks for. */
export interface AttachmentRequest extends AttachmentId {
  readonly network: string;
  readonly netns: string;
  /** Bytes of payload. */
  readonly mtu: number;
  readonly wantedAddresses: readonly Cidr[];
  readonly wantedMac: string | undefined;
  readonly bandwidth?: Bandwidth | undefined;
  readonly ports?: readonly PortMapping[];
  readonly pod: PodIdentity;
}

/** For status and metrics. */
export interface AttachmentState {
  readonly attachments: number;
  readonly pools: readonly PoolUsage[];
  /** The family whose addresses are all in use. */
  readonly exhausted: 4 | 6 | undefined;
}

/** The attachments of a node: what is in memory, on disk and in the kernel, kept the same. */
export class Attachments {
  readonly #parts: AttachmentParts;
  readonly #pool = new AddressPool();
  readonly #turns = new Turns(mostParallel);
  /** By key; also those whose removal failed, until it succeeds. */
  readonly #known = new Map<string, Attachment>();

  constructor(parts: AttachmentParts) {
    this.#parts = parts;
  }

  /** Takes over what an earlier process left. @throws SluiceError SLUICE_CNI_STATE, SLUICE_CNI_LINK */
  async restore(): Promise<void> {
    const { attachments, cursors } = await restoreAttachments(this.#parts);
    for (const cursor of cursors) this.#pool.resumeAfter(cursor);
    for (const attachment of attachments) {
      if (!this.#pool.hold(attachment.addresses)) {
        this.#parts.log.error({ ...attachment }, "two containers have the same address");
      }
      this.#known.set(attachmentKey(attachment), attachment);
    }
  }

  /** @param cidrs the podCIDRs of the node; empty: it has none yet */
  setPodCidrs(cidrs: readonly Cidr[]): void {
    this.#pool.setCidrs(cidrs);
  }

  state(): AttachmentState {
    return {
      attachments: this.#known.size,
      pools: this.#pool.usage(),
      exhausted: this.#pool.exhaustedFamily(),
    };
  }

  /** Why nothing can be attached now; undefined when it can. A full node is not ill, so that is no reason. */
  async problem(): Promise<string | undefined> {
    return this.#pool.hasCidrs ? this.#parts.store.problem() : "this node has no podCIDR yet";
  }

  /**
   * Attaches a container; when it fails, all of it is undone.
   *
   * @throws SluiceError SLUICE_CNI_…
   */
  async add(request: AttachmentRequest): Promise<Attachment> {
    const { onAttempt } = this.#parts;
    try {
      const made = await this.#turns.run(request.containerId, () => this.#add(request));
      onAttempt?.(request.pod, undefined);
      return made;
    } catch (error) {
      onAttempt?.(request.pod, error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  }

  async #add(request: AttachmentRequest): Promise<Attachment> {
    const key = attachmentKey(request);
    const before = this.#known.get(key);
    if (before !== undefined) {
      if (this.#parts.links.list().some(({ hostName }) => hostName === before.hostName)) {
        throw cniError("SLUICE_CNI_EXISTS", `${key} is attached already`);
      }
      await this.#remove(before);
    }
    this.#requirePorts(request);
    const attachment = this.#plan(request, this.#pool.take(request.wantedAddresses));
    this.#known.set(key, attachment);
    try {
      await this.#make(attachment);
      return attachment;
    } catch (error) {
      await this.#remove(attachment).catch((err: unknown) => {
        this.#parts.log.error({ err, attachment: key }, "a failed attachment could not be undone");
      });
      throw error;
    }
  }

  /** Two containers cannot have one port of the node. */
  #requirePorts({ ports = [] }: AttachmentRequest): void {
    for (const port of ports) {
      for (const known of this.#known.values()) {
        const taken = known.ports?.find((other) => overlaps(port, other));
        if (taken === undefined) continue;
        const problem = `${describePort(port)} is in use: ${attachmentKey(known)} has ${describePort(taken)}`;
        throw cniError("SLUICE_CNI_PORT_TAKEN", problem);
      }
    }
  }

  #plan(request: AttachmentRequest, addresses: Addresses): Attachment {
    const { containerId, ifName, network, netns, mtu, pod, wantedMac, bandwidth, ports } = request;
    return {
      containerId,
      ifName,
      network,
      netns,
      hostName: hostNameOf(request),
      mac: wantedMac ?? macOf(request),
      mtu,
      addresses,
      pod,
      ...(bandwidth !== undefined && { bandwidth }),
      ...(ports !== undefined && ports.length > 0 && { ports }),
    };
  }

  async #make(attachment: Attachment): Promise<void> {
    const { store, links, network } = this.#parts;
    await store.begin(attachment, this.#pool.cursors());
    links.create(attachment);
    // What waits on the event loop goes first: a burst of calls is many short stops and not one long.
    await nextTurn();
    await network.attach(attachment).catch((cause: unknown) => {
      if (cause instanceof SluiceError && cause.code === "SLUICE_CNI_TRY_AGAIN") throw cause;
      const why = cause instanceof Error ? cause.message : String(cause);
      const problem = `the policy of ${attachmentKey(attachment)} is not in force: ${why}`;
      throw cniError("SLUICE_CNI_POLICY", problem, { cause });
    });
    links.activate(attachment);
    await nextTurn();
    await store.finish(attachment);
  }

  /** Detaches; nothing to do when it is not attached. @throws SluiceError SLUICE_CNI_… */
  delete(id: AttachmentId): Promise<void> {
    return this.#turns.run(id.containerId, async () => {
      const known = this.#known.get(attachmentKey(id));
      if (known !== undefined) await this.#remove(known);
      else await this.#parts.links.remove(hostNameOf(id));
      await nextTurn();
    });
  }

  async #remove(attachment: Attachment): Promise<void> {
    const { store, links, network } = this.#parts;
    await links.remove(attachment.hostName);
    await network.detach(attachment);
    await store.remove(attachment);
    // Only now: an address that is still on disk or in a table must not be another's.
    this.#pool.release(attachment.addresses);
    this.#known.delete(attachmentKey(attachment));
  }

  /** @throws SluiceError SLUICE_CNI_CHECK that says what is not as it was made */
  check(id: AttachmentId, addresses: readonly string[]): Promise<void> {
    return this.#turns.run(id.containerId, async () => {
      const key = attachmentKey(id);
      const known = this.#known.get(key);
      const problem =
        known === undefined
          ? "it is not attached"
          : (missingAddress(known.addresses, addresses) ??
            this.#parts.links.check(known) ??
            (await this.#parts.network.check(known)));
      if (problem === undefined) return;
      throw cniError("SLUICE_CNI_CHECK", `${key} is not as it was attached: ${problem}`);
    });
  }

  /**
   * Detaches what a network has beyond the given attachments; without any given only what lost its link, since a
   * caller who forgot the list must not cut off every pod.
   *
   * @throws SluiceError SLUICE_CNI_LINK when some could not be detached; the others are
   */
  async keepOnly(network: string, valid: readonly AttachmentId[] | undefined): Promise<void> {
    const kept = new Set(valid?.map(attachmentKey));
    const links = new Set(this.#parts.links.list().map(({ hostName }) => hostName));
    const stale = [...this.#known.values()].filter((known) =>
      valid === undefined
        ? !links.has(known.hostName)
        : (known.network ?? network) === network && !kept.has(attachmentKey(known)),
    );
    const failures: unknown[] = [];
    for (const attachment of stale) {
      await this.delete(attachment).catch((error: unknown) => void failures.push(error));
    }
    if (failures.length > 0) {
      const problem = `${failures.length} of ${stale.length} stale attachments could not be removed`;
      throw cniError("SLUICE_CNI_LINK", problem, { cause: new AggregateError(failures) });
    }
  }
}

function missingAddress({ ipv4, ipv6 }: Addresses, found: readonly string[]): string | undefined {
  const bare = new Set(found.map((text) => text.replace(/\/\d+$/, "")));
  const missing = [ipv4, ipv6].find((text) => text !== undefined && !bare.has(text));
  return missing && `prevResult does not name its address ${missing}`;
}
