import { existsSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { setImmediate as yieldToLoop } from "node:timers/promises";
import type pino from "pino";
import { BpfMap, mapFields, type MapField, type MapFields, openPin } from "../../datapath/index.js";
import { SluiceError } from "../errors.js";
import { viewOf } from "./flow-bytes.js";
import { otherLayouts } from "./migrate.js";

/** Flows of one step. */
const SLICE = 1024;
/** No generation has this number, so whoever allowed a flow is asked again at its next packet. */
const STALE_GENERATION = 0xffffffff;
/** Without these a flow means nothing. */
const NEEDED = ["created_ns", "last_ns", "lifetime_s", "out.generation", "in.generation"] as const;
const SLOTS = ["out.slot", "in.slot"] as const;
const ENDS = ["out.generation", "in.generation"] as const;

type RawMap = BpfMap<Uint8Array, Uint8Array>;

/** One table of flows that programs of another layout write. */
interface OldFlows {
  readonly folder: string;
  readonly map: RawMap;
  readonly fields: MapFields;
  readonly key: readonly Move[];
  readonly value: readonly Move[];
}

interface Move {
  readonly from: number;
  readonly to: number;
  readonly size: number;
}

/**
 * Carries flows from the tables of other layouts into those of this one, field by field by name. Carried are flows that
 * policies allowed; which rule did means nothing here, so each end that was asked is asked again, once, at the next
 * packet. The old programs write on until the links are updated, so there are several copies: all of it while
 * they run, then what came since, right before and right after the links are updated.
 */
export class FlowCarrier {
  readonly #log: pino.Logger;
  readonly #folders: readonly string[];
  readonly #old: readonly OldFlows[];
  readonly #into: RawMap;
  readonly #fields: MapFields;
  /** What was opened before has been copied. */
  #sinceNs = 0n;

  /** @param folders of the pods' tables that other layouts left */
  private constructor(folders: readonly string[], bank: string, log: pino.Logger) {
    this.#folders = folders;
    this.#log = log;
    this.#into = BpfMap.raw(openPin(join(bank, "flows"), "map"));
    const { key, value } = fieldsOrNone(this.#into, log);
    this.#fields = value;
    this.#old = folders.flatMap((folder) => openOld(folder, key, value, log) ?? []);
  }

  /**
   * @param bank folder of the pods' tables of this layout
   * @returns undefined when no other layout has pods
   */
  static open(pinRoot: string, bank: string, log: pino.Logger): FlowCarrier | undefined {
    const folders = otherLayouts(pinRoot, dirname(bank))
      .map((folder) => join(folder, "pods"))
      .filter((folder) => existsSync(folder));
    return folders.length === 0 ? undefined : new FlowCarrier(folders, bank, log);
  }

  /** Folders of the pods' tables that other layouts left. */
  get folders(): readonly string[] {
    return this.#folders;
  }

  /** All flows, with turns of the event loop between slices. @returns how many were not there */
  async copyAll(): Promise<number> {
    const since = process.hrtime.bigint();
    let copied = 0;
    for (const old of this.#old) {
      for (const slice of old.map.slices(SLICE)) {
        for (let index = 0; index < slice.count; index++) {
          if (this.#copy(old, slice.keys, slice.values, index)) copied++;
        }
        await yieldToLoop();
      }
    }
    this.#sinceNs = since;
    return copied;
  }

  /** What has had a packet since the last copy, in one go. @returns how many were not there */
  copyNew(): number {
    const since = process.hrtime.bigint();
    let copied = 0;
    for (const old of this.#old) {
      const at = old.fields.get("last_ns")!.offset;
      for (const { keys, values, count } of old.map.slices(SLICE)) {
        const view = viewOf(values);
        for (let index = 0; index < count; index++) {
          const lastNs = view.getBigUint64(index * old.map.value.size + at, true);
          if (lastNs >= this.#sinceNs && this.#copy(old, keys, values, index)) copied++;
        }
      }
    }
    this.#sinceNs = since;
    return copied;
  }

  /** When no link runs programs of another layout any more. */
  removeOld(): void {
    for (const folder of this.#folders) {
      rmSync(folder, { recursive: true, force: true });
      const parent = dirname(folder);
      if (readdirSync(parent).length === 0) rmdirSync(parent);
    }
    this.#log.info({ folders: this.#folders }, "the pods' tables of other layouts are freed");
  }

  close(): void {
    for (const { map } of this.#old) map.close();
    this.#into.close();
  }

  /** @returns whether the flow was not there */
  #copy(old: OldFlows, keys: Buffer, values: Buffer, index: number): boolean {
    const { key: keyCodec, value: valueCodec } = this.#into;
    const key = Buffer.alloc(keyCodec.size);
    const value = Buffer.alloc(valueCodec.size);
    move(old.key, keys, index * old.map.key.size, key);
    move(old.value, values, index * old.map.value.size, value);
    const asked = ENDS.filter((name) => readNumber(value, this.#fields.get(name)) !== 0);
    for (const name of asked) writeStale(value, this.#fields.get(name)!);
    for (const name of SLOTS) clear(value, this.#fields.get(name));
    if (this.#into.update(key, value, "noexist")) return true;
    this.#fillEnds(key, asked);
    return false;
  }

  /** Programs of this layout have opened the flow too; an end that only the old ones asked is to be asked again. */
  #fillEnds(key: Buffer, asked: readonly (typeof ENDS)[number][]): void {
    const found = this.#into.lookup(key);
    if (found === undefined) return;
    const value = Buffer.from(found);
    const missing = asked.filter((name) => readNumber(value, this.#fields.get(name)) === 0);
    if (missing.length === 0) return;
    for (const name of missing) writeStale(value, this.#fields.get(name)!);
    this.#into.update(key, value, "exist");
  }
}

function fieldsOrNone(map: RawMap, log: pino.Logger): ReturnType<typeof mapFields> {
  try {
    return mapFields(map.fd);
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    log.warn({ code: error.code }, `flows of other layouts are left behind: ${error.message}`);
    return { key: new Map(), value: new Map() };
  }
}

/** Undefined, and the log says why, when its flows cannot be carried. */
function openOld(
  folder: string,
  newKey: MapFields,
  newValue: MapFields,
  log: pino.Logger,
): OldFlows | undefined {
  let map: RawMap | undefined;
  try {
    map = BpfMap.raw(openPin(join(folder, "flows"), "map"));
    const { key, value } = mapFields(map.fd);
    const missing = [
      ...[...newKey.keys()].filter((name) => !isPadding(name) && !key.has(name)),
      ...NEEDED.filter((name) => !value.has(name) || !newValue.has(name)),
    ];
    if (missing.length > 0) {
      throw new SluiceError("SLUICE_MAP_LAYOUT", `there is no field ${missing.join(", ")}`);
    }
    return { folder, map, fields: value, key: moves(key, newKey), value: moves(value, newValue) };
  } catch (error) {
    map?.close();
    if (!(error instanceof SluiceError)) throw error;
    const text = `flows of another table layout are left behind: ${error.message}`;
    log.warn({ folder, code: error.code }, text);
    return undefined;
  }
}

function moves(from: MapFields, to: MapFields): readonly Move[] {
  return [...to].flatMap(([name, field]) => {
    const old = from.get(name);
    if (old === undefined || isPadding(name)) return [];
    /* Little-endian: a number that grew has zeroes above. */
    return { from: old.offset, to: field.offset, size: Math.min(old.size, field.size) };
  });
}

function isPadding(name: string): boolean {
  return /(^|\.)pad\d*$/.test(name);
}

function move(steps: readonly Move[], source: Buffer, at: number, target: Buffer): void {
  for (const { from, to, size } of steps) source.copy(target, to, at + from, at + from + size);
}

function readNumber(bytes: Buffer, field: MapField | undefined): number {
  return field === undefined ? 0 : bytes.readUInt32LE(field.offset);
}

function writeStale(bytes: Buffer, { offset }: MapField): void {
  bytes.writeUInt32LE(STALE_GENERATION, offset);
}

function clear(bytes: Buffer, field: MapField | undefined): void {
  if (field !== undefined) bytes.fill(0, field.offset, field.offset + field.size);
}
