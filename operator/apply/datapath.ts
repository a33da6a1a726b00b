import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Codec, u32, u64 } from "../../datapath/codec.js";
import {
  BucketKey,
  BpfCpumapVal,
  ConnectionKey,
  Connection,
  Counter,
  Fragment,
  FragmentKey,
  Interface,
  layoutHash,
  RuleCounter,
  uplinkMaps,
} from "../../datapath/generated/layout.js";
import {
  BpfMap,
  BpfObject,
  closeFd,
  createPinFolder,
  MappedArray,
  PerCpuMap,
  type Program,
  sumCounters,
} from "../../datapath/index.js";

/** dist/bpf, beside the compiled program. */
const OBJECT = fileURLToPath(new URL("../../bpf/uplink.o", import.meta.url));

/** Scratch space of one packet or one second; every other map outlives the agent. */
const SCRATCH = new Set(["traces", "event_budget"]);

export interface DatapathOptions {
  /** Folder in a bpffs; one per agent. */
  readonly pinRoot: string;
  readonly addressLines: number;
  readonly metadata: boolean;
}

/** Folder of pins for the table layout that this build knows. */
export function layoutFolder(pinRoot: string): string {
  return join(pinRoot, layoutHash);
}

/**
 * Loads the programs over the tables of an earlier agent, or over new ones. Traffic is not touched: links still run
 * the old programs.
 *
 * @throws SluiceError from datapath/: SLUICE_NO_CAPABILITY, SLUICE_NO_BPFFS, SLUICE_VERIFIER_REFUSED, SLUICE_MAP_LAYOUT …
 */
export async function openDatapath(options: DatapathOptions) {
  const folder = layoutFolder(options.pinRoot);
  const maps = join(folder, "maps");
  const adopted = existsSync(join(maps, "control"));
  createPinFolder(maps);
  const object = BpfObject.open(OBJECT);
  try {
    object.setGlobal("write_metadata", options.metadata);
    for (const { name } of Object.values(uplinkMaps)) {
      if (!SCRATCH.has(name)) object.map(name).setPinPath(join(maps, name));
    }
    /* The pinned table keeps its size: libbpf compares and refuses another one. */
    const lines = adopted ? pinnedEntries(join(maps, "address_lines")) : options.addressLines;
    object.map("address_lines").setMaxEntries(lines);
    await object.load();
    return { folder, adopted, ...takeParts(object) };
  } finally {
    object.close();
  }
}

/** The loaded programs and the tables of one agent. Only `apply/` writes them. */
export type Datapath = Awaited<ReturnType<typeof openDatapath>>;

function pinnedEntries(path: string): number {
  const pinned = BpfMap.openPinned(path, u32, uplinkMaps.addressLines.value);
  pinned.close();
  return pinned.info.maxEntries;
}

function takeParts(object: BpfObject) {
  const opened: { close(): void }[] = [];
  const keep = <T extends { close(): void }>(part: T): T => {
    opened.push(part);
    return part;
  };
  const program = (name: string): Program => keep(object.takeProgram(name));
  const mapped = (name: string): MappedArray => {
    const fd = object.takeMap(name);
    try {
      return keep(new MappedArray(fd));
    } finally {
      closeFd(fd);
    }
  };
  const map = <K, V>(name: string, key: Codec<K>, value: Codec<V>): BpfMap<K, V> =>
    keep(new BpfMap(object.takeMap(name), key, value));
  const perCpu = <V>(name: string, value: Codec<V>): PerCpuMap<number, V> =>
    keep(new PerCpuMap(object.takeMap(name), u32, value));
  const eventsLost = perCpu("events_lost", u64);
  return {
    uplink: program("uplink"),
    uplinkTrace: program("uplink_trace"),
    uplinkEgress: program("uplink_egress"),
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
    eventsFd: object.takeMap("events"),
    close(): void {
      for (const part of opened) part.close();
    },
  };
}
