import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Codec, u32, u64 } from "../../datapath/codec.js";
import {
  BpfCpumapVal,
  BucketKey,
  Connection,
  ConnectionKey,
  Counter,
  Fragment,
  FragmentKey,
  Interface,
  RuleCounter,
  uplinkMaps,
} from "../../datapath/generated/layout.js";
import {
  BpfMap,
  BpfObject,
  closeFd,
  createPinFolder,
  type GlobalValue,
  mapInfo,
  MappedArray,
  openPin,
  PerCpuMap,
  type Program,
  sumCounters,
} from "../../datapath/index.js";

/** Scratch space of one packet or one second; every other map outlives the agent. */
const SCRATCH = new Set(["traces", "event_budget"]);

export interface BankOptions {
  /** File of the compiled programs. */
  readonly object: string;
  /** Folder in a bpffs where the tables are pinned. */
  readonly folder: string;
  /** Maps of the object, as the generated layout has them. */
  readonly maps: Readonly<Record<string, { readonly name: string }>>;
  /** Entries of maps that do not have as many as the object says; those pinned already keep theirs. */
  readonly sizes: Readonly<Record<string, number>>;
  readonly globals?: Readonly<Record<string, GlobalValue>>;
}

/** Takes the programs and the maps out of a loaded object; all of them are closed together. */
export interface Parts {
  readonly program: (name: string) => Program;
  readonly mapped: (name: string) => MappedArray;
  readonly map: <K, V>(name: string, key: Codec<K>, value: Codec<V>) => BpfMap<K, V>;
  readonly perCpu: <V>(name: string, value: Codec<V>) => PerCpuMap<number, V>;
  /** Belongs to the caller. */
  readonly fd: (name: string) => ReturnType<BpfObject["takeMap"]>;
  readonly close: () => void;
}

/**
 * Loads an object over the tables of an earlier agent, or over new ones. A bank is the tables by which the one
 * classifier judges; the uplink and the pods have one each, of the same maps in folders of their own. Traffic is not
 * touched: links still run the old programs.
 *
 * @throws SluiceError from datapath/: SLUICE_NO_CAPABILITY, SLUICE_NO_BPFFS, SLUICE_VERIFIER_REFUSED, SLUICE_MAP_LAYOUT …
 */
export async function openBank<T>(options: BankOptions, take: (parts: Parts) => T) {
  const { folder, globals = {} } = options;
  const adopted = existsSync(join(folder, "control"));
  createPinFolder(folder);
  const object = BpfObject.open(options.object);
  try {
    for (const [name, value] of Object.entries(globals)) object.setGlobal(name, value);
    for (const { name } of Object.values(options.maps)) {
      if (!SCRATCH.has(name)) object.map(name).setPinPath(join(folder, name));
    }
    for (const [name, entries] of Object.entries(options.sizes)) {
      /* The pinned table keeps its size: libbpf compares and refuses another one. */
      object.map(name).setMaxEntries(pinnedEntries(join(folder, name)) ?? entries);
    }
    await object.load();
    const parts = partsOf(object);
    try {
      return { adopted, ...takeTables(parts), ...take(parts), close: () => parts.close() };
    } catch (error) {
      parts.close();
      throw error;
    }
  } finally {
    object.close();
  }
}

/** The tables of one bank, as the classifier needs them. Only `apply/` writes them. */
export type Bank = ReturnType<typeof takeTables>;

function pinnedEntries(path: string): number | undefined {
  if (!existsSync(path)) return undefined;
  const fd = openPin(path, "map");
  try {
    return mapInfo(fd).maxEntries;
  } finally {
    closeFd(fd);
  }
}

function partsOf(object: BpfObject): Parts {
  const opened: { close(): void }[] = [];
  const keep = <T extends { close(): void }>(part: T): T => {
    opened.push(part);
    return part;
  };
  return {
    program: (name) => keep(object.takeProgram(name)),
    mapped(name) {
      const fd = object.takeMap(name);
      try {
        return keep(new MappedArray(fd));
      } finally {
        closeFd(fd);
      }
    },
    map: (name, key, value) => keep(new BpfMap(object.takeMap(name), key, value)),
    perCpu: (name, value) => keep(new PerCpuMap(object.takeMap(name), u32, value)),
    fd: (name) => object.takeMap(name),
    close() {
      for (const part of opened) part.close();
    },
  };
}

function takeTables({ mapped, map, perCpu, fd }: Parts) {
  const eventsLost = perCpu("events_lost", u64);
  return {
    control: mapped("control"),
    rules: mapped("rules"),
    limits: mapped("limits"),
    bitmaps: mapped("bitmaps"),
    fieldClasses: mapped("field_classes"),
    addressLines: mapped("address_lines"),
    v4Top: mapped("v4_top"),
    v4Touched: mapped("v4_touched"),
    v6Touched: mapped("v6_touched"),
    interfaces: mapped("interfaces"),
    ruleNames: mapped("rule_names"),
    nodeBuckets: mapped("node_buckets"),
    cpuTargets: mapped("cpu_targets"),
    traces: mapped("traces"),
    farInterfaces: map("far_interfaces", u32, Interface),
    cpus: map("cpus", u32, BpfCpumapVal),
    txPorts: map("tx_ports", u32, u32),
    connections: map("connections", ConnectionKey, Connection),
    fragments: map("fragments", FragmentKey, Fragment),
    sourceBuckets: map("source_buckets", BucketKey, uplinkMaps.sourceBuckets.value),
    ruleCounters: perCpu("rule_counters", RuleCounter),
    outcomeCounters: perCpu("outcome_counters", Counter),
    protocolCounters: perCpu("protocol_counters", Counter),
    eventsLost: (): bigint => sumCounters(eventsLost)[0] ?? 0n,
    /** Belongs to whoever reads the ring. */
    eventsFd: fd("events"),
  };
}
