import { join } from "node:path";
import type pino from "pino";
import { Limits } from "../../datapath/generated/layout.js";
import {
  attachClsact,
  attachTcx,
  attachXdp,
  detachClsact,
  type IfIndex,
  type Link,
  listInterfaces,
  type NetworkInterface,
  queryXdp,
  type XdpMode,
  queryClsact,
  ifIndex,
} from "../../datapath/index.js";
import { SluiceError } from "../errors.js";
import type { Datapath } from "./datapath.js";
import { InterfaceSlots } from "./interface-slots.js";
import { LinkPins } from "./link-pins.js";

/** Names Sluice's filter on kernels without tcx. */
export const CLSACT = { handle: 0x51, priority: 0xc0de } as const;

/** One interface that policies judge, and what holds the programs on it. */
interface Attached {
  readonly index: IfIndex;
  name: string;
  xdp: Link | undefined;
  mode: XdpMode | "none";
  egress: "tcx" | "clsact" | undefined;
  egressLink: Link | undefined;
  message: string | undefined;
}

export interface AttachmentState {
  readonly index: number;
  readonly name: string;
  readonly slot: number;
  readonly mode: XdpMode | "none";
  readonly programId: number | undefined;
  readonly message: string | undefined;
}

/**
 * Programs on interfaces. Links are pinned beside the layout folders, so that an agent of another layout finds and
 * updates them: an interface is never without a program once it had one.
 */
export class Attachments {
  readonly #pins: LinkPins;
  readonly #datapath: Datapath;
  readonly #mode: XdpMode;
  readonly #log: pino.Logger;
  readonly #slots: InterfaceSlots;
  readonly #attached = new Map<number, Attached>();

  constructor(
    pinRoot: string,
    datapath: Datapath,
    mode: XdpMode,
    log: pino.Logger,
    clearSlot: (slot: number) => void,
  ) {
    this.#pins = new LinkPins(join(pinRoot, "links"), log);
    this.#datapath = datapath;
    this.#mode = mode;
    this.#log = log;
    this.#slots = new InterfaceSlots(datapath, clearSlot);
  }

  /** Slot of an interface, given out on first use; undefined when none is left. */
  slotOf(index: number): number | undefined {
    return this.#slots.take(index);
  }

  /**
   * Puts the programs of this agent on the wanted interfaces and takes them off all others that Sluice holds.
   * Failures are kept as messages; the next call tries again.
   */
  reconcile(wanted: ReadonlySet<number>, rememberConnections: boolean): void {
    const present = new Map(listInterfaces().map((found) => [found.index as number, found]));
    for (const index of this.#known()) {
      const found = present.get(index);
      if (found === undefined || !wanted.has(index)) this.#release(index, found === undefined);
    }
    for (const index of wanted) {
      const found = present.get(index);
      if (found === undefined) continue;
      const attached = this.#of(found);
      if (this.#slots.get(index) === undefined) {
        attached.message = `it is not judged: ${Limits.MAX_UPLINK_SLOTS - 1} others are already`;
        continue;
      }
      this.#reconcileXdp(attached);
      if (rememberConnections) this.#watchEgress(attached);
      else this.#detachEgress(attached);
    }
  }

  /**
   * Lets this agent's program remember the connections that leave by the interfaces of these slots. Rules that rely on
   * it come after it: a reply must not meet a default drop before its request was seen.
   *
   * @returns whether some interface was not watched before
   */
  watchEgress(slots: readonly number[]): boolean {
    const wanted = new Set(slots);
    let isNew = false;
    for (const found of listInterfaces()) {
      const slot = this.#slots.get(found.index);
      if (slot === undefined || !wanted.has(slot)) continue;
      isNew = this.#watchEgress(this.#of(found)) || isNew;
    }
    return isNew;
  }

  states(): readonly AttachmentState[] {
    return [...this.#attached.values()].map(({ index, name, mode, xdp, message }) => ({
      index,
      name,
      slot: this.#slots.get(index) ?? 0,
      mode,
      programId: xdp?.info().programId,
      message,
    }));
  }

  /** Gives up the descriptors; pinned links go on. */
  close(): void {
    for (const { xdp, egressLink } of this.#attached.values()) {
      xdp?.close();
      egressLink?.close();
    }
    this.#attached.clear();
  }

  #known(): readonly number[] {
    return [
      ...new Set([...this.#pins.indices(), ...this.#attached.keys(), ...this.#slots.indices()]),
    ];
  }

  #of({ index, name }: NetworkInterface): Attached {
    let attached = this.#attached.get(index);
    if (attached === undefined) {
      attached = {
        index,
        name,
        xdp: undefined,
        mode: "none",
        egress: this.#adoptClsact(index),
        egressLink: undefined,
        message: undefined,
      };
      this.#attached.set(index, attached);
    }
    attached.name = name;
    return attached;
  }

  #reconcileXdp(attached: Attached): void {
    const { index, name } = attached;
    if (attached.xdp !== undefined) {
      if (attached.xdp.info().ifIndex === index) return;
      /* The interface went, and another one came with its number before anybody looked. */
      this.#dropXdp(attached);
    }
    try {
      const adopted = this.#pins.open("xdp", index);
      if (adopted === undefined) this.#attachXdp(attached);
      else this.#adoptXdp(attached, adopted);
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      if (attached.message !== error.message) {
        this.#log.error({ interface: name, code: error.code }, error.message);
      }
      attached.message = error.message;
      attached.mode = "none";
    }
  }

  #adoptXdp(attached: Attached, link: Link): void {
    link.update(this.#datapath.uplink);
    attached.xdp = link;
    attached.mode = modeOf(attached.index, link) ?? "none";
    attached.message =
      attached.mode === this.#mode
        ? undefined
        : `it stays in ${attached.mode} mode, as an earlier agent attached it: ` +
          "a change would leave it without a program for a moment";
  }

  /** A filter has no pin: on kernels without tcx an earlier agent's is found on the interface itself. */
  #adoptClsact(index: IfIndex): "clsact" | undefined {
    if (queryClsact(this.#filter(index)) === undefined) return undefined;
    attachClsact(this.#datapath.uplinkEgress, this.#filter(index));
    return "clsact";
  }

  #attachXdp(attached: Attached): void {
    const { index, name } = attached;
    const { link, mode, fallbackReason } = attachXdp(this.#datapath.uplink, index, {
      mode: this.#mode,
      fallback: this.#mode === "native",
    });
    this.#pins.add("xdp", index, link);
    attached.xdp = link;
    attached.mode = mode;
    attached.message = fallbackReason;
    this.#log.info({ interface: name, mode, reason: fallbackReason }, "attached");
  }

  #dropXdp(attached: Attached): void {
    attached.xdp?.close();
    attached.xdp = undefined;
    attached.mode = "none";
    this.#pins.remove("xdp", attached.index);
    this.#slots.clear(attached.index);
  }

  /** @returns whether nobody watched it before */
  #watchEgress(attached: Attached): boolean {
    const { index, egressLink } = attached;
    if (egressLink !== undefined && egressLink.info().ifIndex !== index) {
      egressLink.close();
      attached.egressLink = undefined;
      attached.egress = undefined;
      this.#pins.remove("egress", index);
    }
    if (attached.egress !== undefined) return false;
    attached.egressLink = this.#pins.open("egress", index);
    if (attached.egressLink !== undefined) {
      attached.egressLink.update(this.#datapath.uplinkEgress);
      attached.egress = "tcx";
      return false;
    }
    try {
      const link = attachTcx(this.#datapath.uplinkEgress, index, "egress");
      this.#pins.add("egress", index, link);
      attached.egressLink = link;
      attached.egress = "tcx";
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      /* It has just gone; nothing comes back through it. */
      if (error.code === "SLUICE_NO_INTERFACE") return false;
      if (error.code !== "SLUICE_TCX_UNSUPPORTED") throw error;
      attachClsact(this.#datapath.uplinkEgress, this.#filter(index));
      attached.egress = "clsact";
    }
    return true;
  }

  #filter(index: IfIndex) {
    return { ifIndex: index, direction: "egress" as const, ...CLSACT };
  }

  #detachEgress(attached: Attached): void {
    if (attached.egress === "clsact") detachClsact(this.#filter(attached.index));
    attached.egressLink ??= this.#pins.open("egress", attached.index);
    attached.egressLink?.detach();
    attached.egressLink?.close();
    attached.egressLink = undefined;
    attached.egress = undefined;
    this.#pins.remove("egress", attached.index);
  }

  #release(index: number, isGone: boolean): void {
    const attached = this.#attached.get(index);
    if (attached !== undefined) {
      if (!isGone) this.#detachEgress(attached);
      attached.egressLink?.close();
      if (!isGone) attached.xdp?.detach();
      attached.xdp?.close();
      this.#attached.delete(index);
      this.#log.info({ interface: attached.name }, isGone ? "interface is gone" : "detached");
    } else {
      for (const kind of ["xdp", "egress"] as const) {
        const link = this.#pins.open(kind, index);
        if (!isGone) link?.detach();
        link?.close();
      }
      if (!isGone) detachClsact(this.#filter(ifIndex(index)));
    }
    this.#pins.remove("xdp", index);
    this.#pins.remove("egress", index);
    this.#slots.release(index);
  }
}

function modeOf(index: IfIndex, link: Link): XdpMode | undefined {
  const state = queryXdp(index);
  const { programId } = link.info();
  return (["native", "generic", "offload"] as const).find((mode) => state[mode] === programId);
}
