import { existsSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type pino from "pino";
import {
  Connection,
  ConnectionKey,
  RuleCounter,
  RuleName,
} from "../../datapath/generated/layout.js";
import {
  BpfMap,
  closeFd,
  MappedArray,
  openPin,
  PerCpuMap,
  sumCounters,
} from "../../datapath/index.js";
import { u32 } from "../../datapath/codec.js";
import { SluiceError } from "../errors.js";
import type { Bank } from "./bank.js";
import type { Datapath } from "./datapath.js";
import { type RuleSlots, type SlotOwner, text } from "./rule-slots.js";

const LAYOUT_FOLDER = /^[0-9a-f]{12}$/;
/** 64-bit counters per rule. */
const LANES = RuleCounter.size / 8;

/** Folders that agents of other table layouts left. */
export function otherLayouts(pinRoot: string, own: string): readonly string[] {
  return readdirSync(pinRoot)
    .filter((name) => LAYOUT_FOLDER.test(name))
    .map((name) => join(pinRoot, name))
    .filter((folder) => folder !== own);
}

/**
 * Takes over what outlives a change of layout: counters by the name of their rule, and connections. A table whose
 * entries have changed shape is left behind, and the log says so. The old programs go on counting until the links
 * flip; those few packets are in the old tables only.
 */
export function migrate(
  folder: string,
  datapath: Datapath,
  slots: RuleSlots,
  log: pino.Logger,
): void {
  takeCounters(join(folder, "maps"), datapath, slots, log);
  moveConnections(folder, datapath, log);
}

/** Takes over the counters of rules from a bank of another layout, by the names of the rules. @param maps its folder */
export function takeCounters(maps: string, bank: Bank, slots: RuleSlots, log: pino.Logger): void {
  takeOver(maps, "counters", log, () => moveCounters(maps, bank, slots));
}

/** Copies the connections that are in the tables of another layout now. */
export function moveConnections(folder: string, datapath: Datapath, log: pino.Logger): void {
  const maps = join(folder, "maps");
  takeOver(maps, "connections", log, () => {
    const old = BpfMap.openPinned(join(maps, "connections"), ConnectionKey, Connection);
    try {
      return datapath.connections.updateAll(old.entries());
    } finally {
      old.close();
    }
  });
}

function takeOver(folder: string, what: string, log: pino.Logger, move: () => number): void {
  try {
    log.info({ folder, moved: move() }, `${what} taken over from another table layout`);
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    log.warn({ folder, code: error.code }, `${what} are left behind: ${error.message}`);
  }
}

/**
 * Frees the uplink's tables of another layout, when no link of an uplink runs its programs any more. Those of pods stay
 * until their links do not either: their flows are still to be carried over.
 */
export function removeLayout(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    if (name !== "pods") rmSync(join(folder, name), { recursive: true });
  }
  if (readdirSync(folder).length === 0) rmdirSync(folder);
}

function moveCounters(maps: string, datapath: Bank, slots: RuleSlots): number {
  const counters = new PerCpuMap(openPin(join(maps, "rule_counters"), "map"), u32, RuleCounter);
  try {
    const sums = sumCounters(counters);
    const owners = readOwners(join(maps, "rule_names"));
    const known = owners.filter(({ owner }) => slots.find(owner) === undefined);
    const taken = slots.assign(known.map(({ owner }) => owner));
    known.forEach(({ slot }, index) => {
      const [packets, bytes, exceededPackets, exceededBytes] = sums.subarray(slot * LANES);
      const cpus = datapath.ruleCounters.lookup(taken[index]!)!;
      const zero = { packets: 0n, bytes: 0n, exceededPackets: 0n, exceededBytes: 0n };
      datapath.ruleCounters.update(taken[index]!, [
        {
          packets: packets ?? 0n,
          bytes: bytes ?? 0n,
          exceededPackets: exceededPackets ?? 0n,
          exceededBytes: exceededBytes ?? 0n,
        },
        ...cpus.slice(1).map(() => zero),
      ]);
    });
    return known.length;
  } finally {
    counters.close();
  }
}

function readOwners(path: string): readonly { readonly slot: number; readonly owner: SlotOwner }[] {
  const fd = openPin(path, "map");
  const names = new MappedArray(fd, "read");
  closeFd(fd);
  try {
    if (names.valueSize !== RuleName.size) {
      throw new SluiceError("SLUICE_MAP_LAYOUT", "the table of rule names has another shape");
    }
    const owners: { slot: number; owner: SlotOwner }[] = [];
    for (let slot = 1; slot < names.length; slot++) {
      if (names.bytes[slot * names.stride] === 0) continue;
      const { policy, rule } = RuleName.decode(names.view, slot * names.stride);
      owners.push({ slot, owner: { policy: text(policy), rule: text(rule) } });
    }
    return owners;
  } finally {
    names.close();
  }
}
