import { existsSync } from "node:fs";
import { join } from "node:path";
import type pino from "pino";
import { createPinFolder, type IfIndex, Link, listPins, unpin } from "../../datapath/index.js";
import { SluiceError } from "../errors.js";

/** What a pinned link holds: the uplink's program, the one that remembers what leaves, or one of the pods' three. */
export type LinkKind = "xdp" | "egress" | "pod-out" | "pod-in" | "pod-arrive";

const PIN_NAME = /^(?:xdp|egress|pod-out|pod-in|pod-arrive)-(\d+)$/;

/** The pinned links of all interfaces; they outlive the agent. */
export class LinkPins {
  readonly #folder: string;
  readonly #log: pino.Logger;

  /** @throws SluiceError SLUICE_NO_BPFFS */
  constructor(folder: string, log: pino.Logger) {
    this.#folder = folder;
    this.#log = log;
    createPinFolder(folder);
  }

  /** Numbers of the interfaces that have pins. */
  indices(): readonly number[] {
    return listPins(this.#folder).flatMap((name) => {
      const index = PIN_NAME.exec(name)?.[1];
      return index === undefined ? [] : [Number(index)];
    });
  }

  has(kind: LinkKind, index: number): boolean {
    return existsSync(this.#path(kind, index));
  }

  /**
   * Opens what is pinned for an interface. A link whose interface is gone, or has a new bearer of its number, is worth
   * nothing: its pin is removed. What is no link is left where it is, and the log says so.
   */
  open(kind: LinkKind, index: number): Link | undefined {
    const path = this.#path(kind, index);
    if (!existsSync(path)) return undefined;
    let link: Link;
    try {
      link = Link.openPinned(path);
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== "SLUICE_PIN_FAILED") throw error;
      this.#log.warn({ pin: path }, error.message);
      return undefined;
    }
    if (link.info().ifIndex === index) return link;
    link.close();
    unpin(path);
    return undefined;
  }

  /** @throws SluiceError SLUICE_PIN_FAILED, and the link is closed */
  add(kind: LinkKind, index: IfIndex, link: Link): void {
    try {
      link.pin(this.#path(kind, index));
    } catch (error) {
      link.close();
      throw error;
    }
  }

  remove(kind: LinkKind, index: number): void {
    unpin(this.#path(kind, index));
  }

  #path(kind: LinkKind, index: number): string {
    return join(this.#folder, `${kind}-${index}`);
  }
}
