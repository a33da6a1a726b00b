import { hrtime } from "node:process";
import { Event } from "../../datapath/generated/layout.js";
import { interfaceByIndex, RingBuffer } from "../../datapath/index.js";
import type { EventState } from "../api/engine.js";
import type { Datapath } from "./datapath.js";
import { effectName, isAudit } from "./names.js";
import type { SlotOwner } from "./rule-slots.js";

/**
 * Reads the sampled events as they come.
 *
 * @returns how to stop
 */
export function captureEvents(
  datapath: Datapath,
  owner: (slot: number) => SlotOwner | undefined,
  onEvent: (event: EventState) => void,
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
