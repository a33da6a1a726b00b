import type { EventState } from "../api/engine.js";
import { captureEvents, type EventSubject } from "./capture-events.js";
import { keyOf } from "./pod-objects.js";
import type { PodPicture } from "./pod-report.js";

/**
 * Reads what the pods' programs tell of packets that policies refuse.
 *
 * @returns how to stop
 */
export function capturePodEvents(
  picture: () => Pick<PodPicture, "datapath" | "local" | "slots" | "rules">,
  onEvent: (event: EventState) => void,
): () => void {
  return captureEvents(
    picture().datapath,
    (slot) => {
      const { slots, rules } = picture();
      const owner = slots.owner(slot);
      const full = (name: string) => rules?.fullNames.get(name) ?? name;
      return owner && { policy: full(owner.policy), rule: full(owner.rule) };
    },
    onEvent,
    (slot) => subjectOf(picture().local, slot),
  );
}

function subjectOf(local: PodPicture["local"], slot: number): EventSubject | undefined {
  for (const { record, place } of local.entries.values()) {
    if (record === undefined || (slot !== place.slotOut && slot !== place.slotIn)) continue;
    return { pod: keyOf(record), direction: slot === place.slotOut ? "egress" : "ingress" };
  }
  return undefined;
}
