import type pino from "pino";
import { GracePeriod, type InterfaceWatch, watchInterfaces } from "../../datapath/index.js";
import type { EngineOptions, EventState } from "../api/engine.js";
import { Attachments } from "./attachments.js";
import { captureEvents } from "./capture-events.js";
import { clearInterfaceSlot, clearRuleSlot } from "./counters.js";
import { type Datapath, openDatapath } from "./datapath.js";
import { countExceptions, type ExceptionCounter } from "./exceptions.js";
import { Firewall } from "./firewall.js";
import { migrate, moveConnections, otherLayouts } from "./migrate.js";
import { RedirectTargets } from "./redirect-targets.js";
import { RuleSlots } from "./rule-slots.js";
import { seedConnections } from "./seed-connections.js";
import { StateFile } from "./state-file.js";

/** The kernel side of a running engine. */
export interface Parts {
  readonly datapath: Datapath;
  readonly slots: RuleSlots;
  readonly firewall: Firewall;
  readonly attachments: Attachments;
  readonly exceptions: ExceptionCounter | undefined;
  /** Folders of agents of other table layouts, to be removed when every link runs the new programs. */
  readonly oldLayouts: string[];
  /** Gives descriptors up; links, pins and tables stay in force. */
  close(): Promise<void>;
}

/**
 * Loads the datapath and what works on it. Traffic is not touched.
 *
 * @param onInterfaces called when an interface appears, changes or goes
 */
export async function openParts(
  options: EngineOptions,
  log: pino.Logger,
  onInterfaces: () => void,
  onEvent: (event: EventState) => void,
): Promise<Parts> {
  const { pinRoot, mode, stateFolder } = options;
  const datapath = await openDatapath(options);
  const grace = new GracePeriod();
  const slots = new RuleSlots(datapath, (slot) => clearRuleSlot(datapath, slot));
  const oldLayouts = [...otherLayouts(pinRoot, datapath.folder)];
  if (!datapath.adopted) {
    for (const folder of oldLayouts) migrate(folder, datapath, slots, log);
  }
  const places = new StateFile<Record<string, number>>(stateFolder, "socket-maps.json");
  const targets = new RedirectTargets(
    datapath,
    new Map(Object.entries(places.read() ?? {})),
    (map) => places.write(Object.fromEntries(map)),
  );
  const attachments = new Attachments(pinRoot, datapath, mode, log, (slot) =>
    clearInterfaceSlot(datapath, slot),
  );
  const firewall = new Firewall(datapath, grace, slots, targets, (judgedSlots, isNew) => {
    if (attachments.watchEgress(judgedSlots) || isNew) {
      log.info({ connections: seedConnections(datapath) }, "open connections are remembered");
    }
    /* The programs of the other layout remembered what left until this moment. */
    if (!datapath.adopted) {
      for (const folder of oldLayouts) moveConnections(folder, datapath, log);
    }
  });
  const exceptions = await countExceptions(datapath, log);
  const watch: InterfaceWatch = watchInterfaces(onInterfaces);
  const stopEvents = captureEvents(datapath, (slot) => slots.owner(slot), onEvent);
  log.info({ folder: datapath.folder, adopted: datapath.adopted }, "datapath loaded");
  return {
    datapath,
    slots,
    firewall,
    attachments,
    exceptions,
    oldLayouts,
    async close() {
      await firewall.settle();
      watch.close();
      stopEvents();
      exceptions?.close();
      attachments.close();
      grace.close();
      datapath.close();
    },
  };
}
