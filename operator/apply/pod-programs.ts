import { join } from "node:path";
import { setImmediate as yieldToLoop } from "node:timers/promises";
import type pino from "pino";
import {
  addClsact,
  attachClsact,
  attachTcxAside,
  type ClsactFilter,
  detachClsact,
  type IfIndex,
  listInterfaces,
  loadNextProgram,
  queryClsact,
  queryTcx,
} from "../../datapath/index.js";
import type { PodProgramsState } from "../api/engine.js";
import { SluiceError } from "../errors.js";
import { CLSACT } from "./attachments.js";
import { LinkPins } from "./link-pins.js";
import { attachPinned } from "./pinned-program.js";
import type { PodDatapath } from "./pod-datapath.js";
import { WakeUp } from "./wake-up.js";

/** Between two pods that are moved: the kernel's lock on interfaces is held meanwhile. */
const PAUSE_MS = 100;

const HOOKS = [
  { kind: "pod-out", direction: "ingress", program: "podOut" },
  { kind: "pod-in", direction: "egress", program: "podIn" },
] as const;
type Hook = (typeof HOOKS)[number];

/**
 * The programs on pods' links. A pod gets them as clsact filters, which takes the kernel a millisecond, and keeps them as
 * pinned tcx links, which no other tool takes off: it is moved when the node is quiet, since each link has the kernel
 * wait for a grace period. docs/decisions/0011-filters-first-then-links.md.
 */
export class PodPrograms {
  readonly #programs: Pick<PodDatapath, Hook["program"]>;
  readonly #pins: LinkPins;
  readonly #log: pino.Logger;
  readonly #quietMs: number;
  readonly #next = loadNextProgram();
  /** Of the links that have this agent's programs: whether both are tcx links. */
  readonly #isMoved = new Map<IfIndex, boolean>();
  /** Stay on their filters: what the kernel has refused once it is not asked for again. */
  readonly #refused = new Set<IfIndex>();
  readonly #timer = new WakeUp(() => void (this.#moving = this.#moveWhenQuiet()));
  #moving: Promise<void> = Promise.resolve();
  #busyAtMs = -Infinity;
  #hasTcx = true;
  #isClosed = false;

  /** @throws SluiceError SLUICE_NO_BPFFS, SLUICE_NO_CAPABILITY */
  constructor(
    programs: Pick<PodDatapath, Hook["program"]>,
    pinRoot: string,
    log: pino.Logger,
    quietMs: number,
  ) {
    this.#programs = programs;
    this.#pins = new LinkPins(join(pinRoot, "pod-links"), log);
    this.#log = log;
    this.#quietMs = quietMs;
  }

  /**
   * Links that have a program of an agent, of whatever table layout; pins of links that went are removed.
   *
   * @param isKnown which links need not be looked at
   */
  find(isKnown: (index: number) => boolean): ReadonlySet<number> {
    const present = listInterfaces();
    const indices = new Set<number>(present.map(({ index }) => index));
    const found = new Set<number>();
    for (const index of this.#pins.indices()) {
      if (indices.has(index)) found.add(index);
      else this.#unpin(index);
    }
    for (const { index, kind } of present) {
      if (kind !== "veth" || isKnown(index)) continue;
      if (isFiltered(index)) found.add(index);
    }
    return found;
  }

  /** Puts this agent's programs on the link, in place where others are. */
  attach(index: IfIndex): void {
    this.busy();
    for (const hook of HOOKS) if (!this.#updateLink(hook, index)) this.#putFilter(hook, index);
    this.#noteWays(index);
    this.#wake(this.#quietMs);
  }

  #updateLink(hook: Hook, index: IfIndex): boolean {
    const link = this.#pins.open(hook.kind, index);
    if (link === undefined) return false;
    link.update(this.#programs[hook.program]);
    link.close();
    /* An agent that ended in the middle of a move has left both. */
    detachClsact(filterOf(hook, index));
    return true;
  }

  /** Where another tool's qdisc is, or the kernel has no such filters, a link is made at once. */
  #putFilter(hook: Hook, index: IfIndex): void {
    const program = this.#programs[hook.program];
    try {
      if (addClsact(index) || isFiltered(index)) {
        attachClsact(program, filterOf(hook, index));
        return;
      }
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== "SLUICE_ATTACH_FAILED") throw error;
    }
    const { kind, direction } = hook;
    attachPinned(this.#pins, { kind, index, direction }, program);
  }

  /** Links go with their interface, and so do filters. */
  forget(index: number): void {
    this.busy();
    this.#isMoved.delete(index as IfIndex);
    this.#refused.delete(index as IfIndex);
    this.#unpin(index);
  }

  /** The node is not quiet now. */
  busy(): void {
    this.#busyAtMs = performance.now();
  }

  /** The name of a program that is not on the link, by neither way. */
  missing(index: IfIndex): string | undefined {
    return HOOKS.find((hook) => {
      const { id } = this.#programs[hook.program].info();
      return (
        queryClsact(filterOf(hook, index)) !== id && !queryTcx(index, hook.direction).includes(id)
      );
    })?.kind;
  }

  state(): PodProgramsState {
    const moved = [...this.#isMoved.values()].filter(Boolean).length;
    return { tcx: moved, clsact: this.#isMoved.size - moved };
  }

  /**
   * Looks whether another tool took a filter off, which with its qdisc is one command, and puts the program back: by tcx,
   * since a new qdisc on a link that is up costs packets.
   */
  async look(): Promise<void> {
    for (const [index, isMoved] of [...this.#isMoved]) {
      if (isMoved) continue;
      await yieldToLoop();
      if (this.#isClosed) return;
      if (this.#isMoved.get(index) !== false) continue;
      try {
        this.#restore(index);
      } catch (err) {
        if (isGone(err)) continue;
        this.#log.error({ err, ifIndex: index }, "a pod's program was taken off, and is not back");
      }
    }
  }

  #restore(index: IfIndex): void {
    for (const hook of HOOKS) {
      const { kind, direction, program } = hook;
      if (this.#pins.has(kind, index) || queryClsact(filterOf(hook, index)) !== undefined) continue;
      attachPinned(this.#pins, { kind, index, direction }, this.#programs[program]);
      this.#log.warn({ ifIndex: index, kind }, "another tool took a pod's program off; it is back");
    }
    this.#noteWays(index);
  }

  /** Ends when no pod is being moved; programs stay. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer.cancel();
    await this.#moving;
    this.#next.close();
  }

  #wake(inMs: number): void {
    if (!this.#isClosed && this.#hasTcx && this.#nextToMove() !== undefined) this.#timer.in(inMs);
  }

  #nextToMove(): IfIndex | undefined {
    for (const [index, isMoved] of this.#isMoved) {
      if (!isMoved && !this.#refused.has(index)) return index;
    }
    return undefined;
  }

  async #moveWhenQuiet(): Promise<void> {
    const leftMs = this.#busyAtMs + this.#quietMs - performance.now();
    if (leftMs > 0) return this.#wake(leftMs);
    const index = this.#nextToMove();
    if (index === undefined) return;
    try {
      for (const hook of HOOKS) await this.#move(hook, index);
    } catch (err) {
      if (err instanceof SluiceError && err.code === "SLUICE_TCX_UNSUPPORTED") {
        this.#hasTcx = false;
        this.#log.info({}, "this kernel has no tcx: pods keep their programs as clsact filters");
        return;
      }
      this.#refused.add(index);
      if (!isGone(err)) this.#log.warn({ err, ifIndex: index }, "a pod stays on clsact filters");
    }
    this.#wake(PAUSE_MS);
  }

  /**
   * The link comes with a program that leaves all to the filter. When the kernel has waited, one system call puts the
   * right one there, and the next takes the filter off: between the two a packet may be judged twice. The qdisc stays:
   * taking it away stops the interface for a grace period, and packets are lost.
   */
  async #move(hook: Hook, index: IfIndex): Promise<void> {
    const { kind, direction, program } = hook;
    if (this.#pins.has(kind, index)) return;
    const link = await attachTcxAside(this.#next, index, direction);
    if (this.#isClosed || !this.#isMoved.has(index) || this.#pins.has(kind, index)) {
      link.close();
      return;
    }
    this.#pins.add(kind, index, link);
    try {
      link.update(this.#programs[program]);
      detachClsact(filterOf(hook, index));
    } catch (error) {
      /* The filter may still be there, and must be found if it goes. */
      if (queryClsact(filterOf(hook, index)) !== undefined) this.#pins.remove(kind, index);
      throw error;
    } finally {
      link.close();
    }
    this.#noteWays(index);
  }

  #noteWays(index: IfIndex): void {
    this.#isMoved.set(
      index,
      HOOKS.every(({ kind }) => this.#pins.has(kind, index)),
    );
  }

  #unpin(index: number): void {
    for (const { kind } of HOOKS) this.#pins.remove(kind, index);
  }
}

function filterOf({ direction }: Hook, index: IfIndex): ClsactFilter {
  return { ifIndex: index, direction, ...CLSACT };
}

function isFiltered(index: IfIndex): boolean {
  return HOOKS.some((hook) => queryClsact(filterOf(hook, index)) !== undefined);
}

function isGone(error: unknown): boolean {
  return error instanceof SluiceError && error.code === "SLUICE_NO_INTERFACE";
}
