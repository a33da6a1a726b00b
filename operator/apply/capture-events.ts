import { hrtime } from "node:process";
import { Event } from "../../datapath/generated/layout.js";
import { interfaceByIndex, RingBuffer } from "../../datapath/index.js";
import type { EventState, PodDirection } from "../api/engine.js";
import type { Bank } from "./bank.js";
import { effectName, isAudit } from "./names.js";
import type { SlotOwner } from "./rule-slots.js";

/** Whose rules an event is about. */
export interface EventSubject {
  readonly pod: string;
  readonly direction: PodDirection;
}

/**
 * Reads the sampled events of a bank as they come.
 *
 * @param subjectOf pods by their interface slots
 * @returns how to stop
 */
export function captureEvents(
  datapath: Pick<Bank, "eventsFd">,
  owner: (slot: number) => SlotOwner | undefined,
  onEvent: (event: EventState) => void,
  subjectOf: (slot: number) => EventSubject | undefined = () => undefined,
): () => void {
  const ring = new RingBuffer(datapath.eventsFd);
  const names = new Map<number, string>();
  const nameOf = (index: number) => {
    const known = names.get(index);
    if (known !== undefined) return known;
    const name = interfaceByIndex(index)?.name ?? `interface ${index}`;
    names.set(index, name);
    return name;
  };
  ring.listen((record) => {
    const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
    const event = Event.decode(view, 0);
    const from = owner(event.slot);
    onEvent({
      time: wallClock(event.timeNs),
      policy: from?.policy ?? "",
      rule: from?.rule ?? "",
      effect: effectName(event.effect),
      audit: isAudit(event.effect),
      interface: nameOf(event.ifindex),
      ...subjectOf(event.subject),
      length: event.length,
      bytes: Buffer.from(event.bytes.subarray(0, event.captured)).toString("base64"),
    });
  });
  return () => ring.close();
}

/** The kernel stamps CLOCK_MONOTONIC, which is what hrtime reads. */
function wallClock(monotonicNs: bigint): string {
  const agoUs = Number((hrtime.bigint() - monotonicNs) / 1000n);
  const nowUs = Date.now() * 1000;
  const us = nowUs - agoUs;
  const iso = new Date(Math.floor(us / 1000)).toISOString();
  return `${iso.slice(0, -1)}${String(us % 1000).padStart(3, "0")}Z`;
}
