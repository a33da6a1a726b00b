/** Many cases against the oracle; what differs is made small and told so that nothing has to be run to see it. */

import { isDeepStrictEqual } from "node:util";
import { stringify } from "yaml";
import { generateCase, type ServiceCase } from "./generate.js";
import { answerOf } from "./oracle.js";
import { CompiledServices } from "./subject.js";
import type { Answer, Packet, World } from "./world.js";

/** Something that takes a world and says what becomes of packets. */
export type Subject = (world: World) => { judge(packet: Packet): Answer };

export interface CompareSummary {
  readonly agreed: number;
  /** Answers by what they were: what the run has covered. */
  readonly answers: ReadonlyMap<string, number>;
  /** The first difference, as small as it got. */
  readonly finding: string | undefined;
}

export const compiled: Subject = (world) => new CompiledServices(world);

export function compareWith(
  subject: Subject,
  seed: number,
  cases: number,
  packetsPerWorld: number,
): CompareSummary {
  const answers = new Map<string, number>();
  let agreed = 0;
  for (let index = 0; agreed < cases; index++) {
    const serviceCase = generateCase(seed, index, packetsPerWorld);
    const { world } = serviceCase;
    const judge = subject(world);
    for (const packet of serviceCase.packets) {
      const expected = answerOf(world, packet);
      if (!isDeepStrictEqual(judge.judge(packet), expected)) {
        const small = shrink({ world, packets: [packet] }, (one) => differs(subject, one));
        return { agreed, answers, finding: describe(subject, small, seed, index) };
      }
      const kind = kindOf(expected);
      answers.set(kind, (answers.get(kind) ?? 0) + 1);
      agreed += 1;
    }
  }
  return { agreed, answers, finding: undefined };
}

function kindOf(answer: Answer): string {
  if (typeof answer === "string") return answer;
  const masqueraded = answer.filter((one) => one.endsWith(" M")).length;
  if (masqueraded === 0) return "to backends";
  return masqueraded === answer.length ? "to backends, masqueraded" : "to backends, hairpin";
}

function differs(subject: Subject, { world, packets }: ServiceCase): boolean {
  const [packet] = packets;
  return !isDeepStrictEqual(subject(world).judge(packet!), answerOf(world, packet!));
}

/** Cuts out whatever is not needed for the difference: objects first, then what is in them. */
export function shrink(
  serviceCase: ServiceCase,
  fails: (candidate: ServiceCase) => boolean,
): ServiceCase {
  let current = serviceCase;
  const attempt = (world: World) => {
    const candidate = { ...current, world };
    try {
      if (!fails(candidate)) return false;
    } catch {
      // The API server would not have taken it.
      return false;
    }
    current = candidate;
    return true;
  };
  let before: World;
  do {
    before = current.world;
    for (const kind of ["services", "slices"] as const) {
      for (let at = current.world[kind].length - 1; at >= 0; at--) {
        attempt({ ...current.world, [kind]: current.world[kind].toSpliced(at, 1) });
      }
    }
    for (const kind of ["services", "slices"] as const) {
      for (const [at] of current.world[kind].entries())
        shrinkAt(() => current.world, [kind, at], attempt);
    }
  } while (current.world !== before);
  return current;
}

type Path = readonly (string | number)[];

function shrinkAt(world: () => World, path: Path, attempt: (world: World) => boolean): void {
  const value = valueAt(world(), path);
  if (typeof value !== "object" || value === null) return;
  // From the end on, so that indices of what is left stay.
  for (const key of Array.isArray(value) ? [...value.keys()].reverse() : Object.keys(value)) {
    if (!attempt(without(world(), [...path, key]))) shrinkAt(world, [...path, key], attempt);
  }
}

function valueAt(world: World, path: Path): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], world);
}

function without(world: World, path: Path): World {
  const copy = structuredClone(world);
  const holder = valueAt(copy, path.slice(0, -1));
  const last = path.at(-1)!;
  if (Array.isArray(holder)) holder.splice(last as number, 1);
  else delete (holder as Record<string, unknown>)[last];
  return copy;
}

function describe(
  subject: Subject,
  { world, packets }: ServiceCase,
  seed: number,
  index: number,
): string {
  const [packet] = packets;
  return [
    `case ${index} of seed ${seed}`,
    `packet:  ${JSON.stringify(packet)}`,
    `oracle:  ${JSON.stringify(answerOf(world, packet!))}`,
    `subject: ${JSON.stringify(subject(world).judge(packet!))}`,
    stringify(world, { aliasDuplicateObjects: false }),
  ].join("\n");
}
