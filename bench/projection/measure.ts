import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { SluiceError } from "../../operator/errors.js";
import { Interner } from "../../operator/model/interner.js";
import { projectClusterObject } from "../../operator/model/project-cluster.js";
import type { ClusterRecord } from "../../operator/model/records-cluster.js";
import type { Population } from "./objects.js";

const ORIGIN = Object.freeze({ source: "api" });
/** Objects that are parsed before they are projected, so that each is timed by itself. */
const BATCH = 200;
/** Parsed objects are large: a share of them tells as much. */
const RAW_SHARE = 4;

export interface ProjectionFigures {
  readonly what: string;
  readonly count: number;
  /** Mean length of the JSON. */
  readonly jsonBytes: number;
  /** Retained by an object as `JSON.parse` gives it. */
  readonly rawBytes: number;
  /** Retained by its record, with its share of the interner. */
  readonly recordBytes: number;
  readonly parseUs: number;
  readonly projectUs: number;
}

// Reads the heap only after all garbage has gone.
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

export function measureProjection(population: Population): ProjectionFigures {
  const { what, count, text } = population;
  // The first round compiles the code and fills what is shared by all of a kind.
  projectAll(population, Math.min(count, 2000), new Interner());
  const rawCount = Math.ceil(count / RAW_SHARE);
  const raw = retained(() =>
    Array.from({ length: rawCount }, (_, index) => JSON.parse(text(index)) as unknown),
  );
  let times = { parseNs: 0n, projectNs: 0n, jsonBytes: 0 };
  const records = retained(() => {
    const interner = new Interner();
    const { records, ...measured } = projectAll(population, count, interner);
    times = measured;
    return { records, interner };
  });
  return {
    what,
    count,
    jsonBytes: times.jsonBytes / count,
    rawBytes: raw / rawCount,
    recordBytes: records / count,
    parseUs: Number(times.parseNs) / 1000 / count,
    projectUs: Number(times.projectNs) / 1000 / count,
  };
}

/** Bytes that the records of all populations retain together. */
export function measureTogether(all: readonly Population[]): number {
  return retained(() => {
    const interner = new Interner();
    return [interner, all.map((population) => projectAll(population, population.count, interner))];
  });
}

function projectAll({ kind, text }: Population, count: number, interner: Interner) {
  const records: ClusterRecord[] = [];
  let parseNs = 0n;
  let projectNs = 0n;
  let jsonBytes = 0;
  for (let from = 0; from < count; from += BATCH) {
    const length = Math.min(BATCH, count - from);
    const texts = Array.from({ length }, (_, at) => text(from + at));
    const start = process.hrtime.bigint();
    const objects = texts.map((each) => JSON.parse(each) as unknown);
    const parsed = process.hrtime.bigint();
    for (const object of objects) {
      const { draft, problems } = projectClusterObject(kind, object, ORIGIN, interner);
      if (draft === undefined) {
        throw new SluiceError("SLUICE_BENCH", `a ${kind} was refused: ${problems[0]?.message}`, {
          remedy: "Correct bench/projection/objects.ts",
        });
      }
      records.push({ ...draft, origin: ORIGIN, generation: 1 } as ClusterRecord);
    }
    projectNs += process.hrtime.bigint() - parsed;
    parseNs += parsed - start;
    jsonBytes += texts.reduce((sum, each) => sum + each.length, 0);
  }
  return { records, parseNs, projectNs, jsonBytes };
}

/** Bytes on the heap and beside it that a value holds on to. */
function retained(make: () => unknown): number {
  const before = usedBytes();
  const value = make();
  const after = usedBytes();
  // The value must live until here.
  if (value === undefined) throw new Error("nothing was made");
  return after - before;
}

function usedBytes(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
