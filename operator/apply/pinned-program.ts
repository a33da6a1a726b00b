import {
  attachClsact,
  attachTc,
  detachClsact,
  type IfIndex,
  type Program,
  queryClsact,
  type TcDirection,
} from "../../datapath/index.js";
import { CLSACT } from "./attachments.js";
import type { LinkKind, LinkPins } from "./link-pins.js";

/** Where a tc program is, and what its pin is called. */
export interface PinnedHook {
  readonly kind: LinkKind;
  readonly index: IfIndex;
  readonly direction: TcDirection;
}

/**
 * Puts a program on an interface, in place of what an earlier agent has put there. It outlives the agent: by a pin, or
 * by being a filter.
 *
 * @throws SluiceError SLUICE_NO_INTERFACE, SLUICE_NO_CAPABILITY, SLUICE_ATTACH_FAILED, SLUICE_PIN_FAILED
 */
export function attachPinned(pins: LinkPins, hook: PinnedHook, program: Program): void {
  const { kind, index, direction } = hook;
  const adopted = pins.open(kind, index);
  if (adopted !== undefined) {
    adopted.update(program);
    adopted.close();
    return;
  }
  const filter = { ifIndex: index, direction, ...CLSACT };
  if (queryClsact(filter) !== undefined) {
    attachClsact(program, filter);
    return;
  }
  const made = attachTc(program, filter);
  if (made.kind === "clsact") return;
  pins.add(kind, index, made.link);
  made.link.close();
}

/** Takes the program off; nothing to do when there is none, or no such interface. */
export function detachPinned(pins: LinkPins, { kind, index, direction }: PinnedHook): void {
  const link = pins.open(kind, index);
  link?.detach();
  link?.close();
  pins.remove(kind, index);
  detachClsact({ ifIndex: index, direction, ...CLSACT });
}
