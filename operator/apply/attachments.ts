import { existsSync } from "node:fs";
import { join } from "node:path";
import type pino from "pino";
import { Limits } from "../../datapath/generated/layout.js";
import {
  attachClsact,
  attachTcx,
  attachXdp,
  createPinFolder,
  detachClsact,
  type IfIndex,
  ifIndex,
  Link,
  listInterfaces,
  listPins,
  type NetworkInterface,
  queryXdp,
  unpin,
  type XdpMode,
} from "../../datapath/index.js";
import { SluiceError } from "../errors.js";
import type { Datapath } from "./datapath.js";

/** Names Sluice's filter on kernels without tcx. */
export const CLSACT = { handle: 0x51, priority: 0xc0de } as const;

const PIN_NAME = /^(?:xdp|egress)-(\d+)$/;

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
  readonly #folder: string;
  readonly #datapath: Datapath;
  readonly #mode: XdpMode;
  readonly #log: pino.Logger;
  readonly #slots = new Map<number, number>();
  readonly #attached = new Map<number, Attached>();
  readonly #clearSlot: (slot: number) => void;

  constructor(
    pinRoot: string,
    datapath: Datapath,
    mode: XdpMode,
    log: pino.Logger,
    clearSlot: (slot: number) => void,
  ) {
    this.#folder = join(pinRoot, "links");
    this.#datapath = datapath;
    this.#mode = mode;
    this.#log = log;
    this.#clearSlot = clearSlot;
    createPinFolder(this.#folder);
    this.#readSlots();
  }

  /** Slot of an interface, given out on first use and kept while the interface lives. */
  slotOf(index: number): number | undefined {
    const known = this.#slots.get(index);
    if (known !== undefined) return known;
    const taken = new Set(this.#slots.values());
    for (let slot = 1; slot < Limits.MAX_INTERFACE_SLOTS; slot++) {
      if (taken.has(slot)) continue;
      this.#clearSlot(slot);
      this.#writeSlot(index, slot);
      this.#slots.set(index, slot);
      return slot;
    }
    return undefined;
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
      try {
        isNew = this.#watchEgress(this.#of(found)) || isNew;
      } catch (error) {
        /* It has just gone; nothing comes back through it. */
        if (!(error instanceof SluiceError) || error.code !== "SLUICE_NO_INTERFACE") throw error;
      }
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
    const pinned = listPins(this.#folder).flatMap((name) => {
      const index = PIN_NAME.exec(name)?.[1];
      return index === undefined ? [] : [Number(index)];
    });
    return [...new Set([...pinned, ...this.#attached.keys(), ...this.#slots.keys()])];
  }

  #pin(kind: "xdp" | "egress", index: number): string {
    return join(this.#folder, `${kind}-${index}`);
  }

  #of({ index, name }: NetworkInterface): Attached {
    let attached = this.#attached.get(index);
    if (attached === undefined) {
      attached = {
        index,
        name,
        xdp: undefined,
        mode: "none",
        egress: undefined,
        egressLink: undefined,
        message: undefined,
      };
      this.#attached.set(index, attached);
    }
    attached.name = name;
    return attached;
  }

  /** A pinned link whose interface is gone, or has a new bearer of its number, is worth nothing. */
  #openLink(kind: "xdp" | "egress", index: IfIndex): Link | undefined {
    const path = this.#pin(kind, index);
    if (!existsSync(path)) return undefined;
    const link = Link.openPinned(path);
    if (link.info().ifIndex === index) return link;
    link.close();
    unpin(path);
    return undefined;
  }

  #reconcileXdp(attached: Attached): void {
    const { index, name } = attached;
    if (attached.xdp !== undefined) {
      if (attached.xdp.info().ifIndex === index) return;
      /* The interface went, and another one came with its number before anybody looked. */
      this.#dropXdp(attached);
    }
    const adopted = this.#openLink("xdp", index);
    if (adopted !== undefined) {
      adopted.update(this.#datapath.uplink);
      attached.xdp = adopted;
      attached.mode = modeOf(index, adopted) ?? "none";
      if (attached.mode !== this.#mode) {
        attached.message =
          `it stays in ${attached.mode} mode, as an earlier agent attached it: ` +
          "a change would leave it without a program for a moment";
      }
      return;
    }
    try {
      const made = attachXdp(this.#datapath.uplink, index, {
        mode: this.#mode,
        fallback: this.#mode === "native",
      });
      made.link.pin(this.#pin("xdp", index));
      attached.xdp = made.link;
      attached.mode = made.mode;
      attached.message = made.fallbackReason;
      this.#log.info({ interface: name, mode: made.mode, reason: made.fallbackReason }, "attached");
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      if (attached.message !== error.message) {
        this.#log.error({ interface: name, code: error.code }, error.message);
      }
      attached.message = error.message;
      attached.mode = "none";
    }
  }

  #dropXdp(attached: Attached): void {
    attached.xdp?.close();
    attached.xdp = undefined;
    attached.mode = "none";
    this.#unpin("xdp", attached.index);
    this.#clearSlot(this.#slots.get(attached.index) ?? 0);
  }

  /** @returns whether nobody watched it before */
  #watchEgress(attached: Attached): boolean {
    const { index, egressLink } = attached;
    if (egressLink !== undefined && egressLink.info().ifIndex !== index) {
      egressLink.close();
      attached.egressLink = undefined;
      attached.egress = undefined;
      this.#unpin("egress", index);
    }
    if (attached.egress !== undefined) return false;
    attached.egressLink = this.#openLink("egress", index);
    if (attached.egressLink !== undefined) {
      attached.egressLink.update(this.#datapath.uplinkEgress);
      attached.egress = "tcx";
      return false;
    }
    try {
      attached.egressLink = attachTcx(this.#datapath.uplinkEgress, index, "egress");
      attached.egressLink.pin(this.#pin("egress", index));
      attached.egress = "tcx";
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== "SLUICE_TCX_UNSUPPORTED") throw error;
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
    attached.egressLink ??= this.#openLink("egress", attached.index);
    attached.egressLink?.detach();
    attached.egressLink?.close();
    attached.egressLink = undefined;
    attached.egress = undefined;
    this.#unpin("egress", attached.index);
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
        const link = this.#openLink(kind, ifIndex(index));
        if (!isGone) link?.detach();
        link?.close();
      }
    }
    this.#unpin("xdp", index);
    this.#unpin("egress", index);
    if (this.#slots.delete(index)) this.#writeSlot(index, 0);
  }

  #unpin(kind: "xdp" | "egress", index: number): void {
    const path = this.#pin(kind, index);
    if (existsSync(path)) unpin(path);
  }

  #readSlots(): void {
    const { interfaces, farInterfaces } = this.#datapath;
    const words = interfaces.stride / 4;
    for (let index = 1; index < interfaces.length; index++) {
      const slot = interfaces.u32[index * words]!;
      if (slot !== 0) this.#slots.set(index, slot);
    }
    for (const [index, { slot }] of farInterfaces.entries()) this.#slots.set(index, slot);
  }

  #writeSlot(index: number, slot: number): void {
    const { interfaces, farInterfaces } = this.#datapath;
    if (index < interfaces.length) interfaces.u32[(index * interfaces.stride) / 4] = slot;
    else if (slot === 0) farInterfaces.delete(index);
    else farInterfaces.update(index, { slot });
  }
}

function modeOf(index: IfIndex, link: Link): XdpMode | undefined {
  const state = queryXdp(index);
  const { programId } = link.info();
  return (["native", "generic", "offload"] as const).find((mode) => state[mode] === programId);
}
