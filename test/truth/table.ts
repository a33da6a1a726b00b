/** Which pods reach which, as it must be and as it was seen. */

import type { Family } from "../policy-oracle/address.js";
import { judge } from "../policy-oracle/judge.js";
import {
  type Expectation,
  isDenied,
  parseProbe,
  SPEC_PORTS,
  SPEC_PROTOCOLS,
  splitPod,
} from "../policy-oracle/spec.js";
import { inFamily, type SpecState } from "../policy-oracle/spec-cluster.js";
import type { Outcome, Probe } from "./prober.js";

/** One probe of one pair. */
export interface Cell extends Probe {
  /** By their short names, as in the tables: `xa`. */
  readonly source: string;
  readonly destination: string;
}

const ALL_PROBES = SPEC_PROTOCOLS.flatMap((protocol) =>
  SPEC_PORTS.map((port) => `${protocol} ${port}`),
);

/**
 * All pairs, with all probes. What the table of the step speaks of is expected as it says: its probes between its pods.
 * The rest, which its authors did not try, is expected as the oracle says.
 *
 * @param tablePods the pods that the table speaks of
 */
export function expectCells(
  { cluster, addresses }: SpecState,
  expectations: readonly Expectation[],
  tablePods: ReadonlySet<string>,
  families: readonly Family[],
): readonly Cell[] {
  const pods = [...addresses.keys()];
  return families.flatMap((family) =>
    ALL_PROBES.flatMap((text) => {
      const [protocol, port] = parseProbe(text);
      const table = expectations.find(({ probes }) => probes.includes(text));
      const ofFamily = inFamily(addresses, family);
      const isExpected = (source: string, destination: string): boolean => {
        if (source === destination) return true;
        if (table !== undefined && tablePods.has(source) && tablePods.has(destination)) {
          return !isDenied(table.denied, source, destination, ofFamily);
        }
        const ends = { source: keyOf(source), destination: keyOf(destination) };
        return judge(cluster, { ...ends, family, protocol, destinationPort: port }).allowed;
      };
      return pods.flatMap((source) =>
        pods.map(
          (destination): Cell => ({
            ...{ source, destination, family, protocol, port },
            ...{ from: keyOf(source), to: keyOf(destination) },
            isExpected: isExpected(source, destination),
          }),
        ),
      );
    }),
  );
}

/** Empty when all is as expected; otherwise the matrices that are not, expected beside seen. */
export function describeDifferences(cells: readonly Cell[], seen: readonly Outcome[]): string {
  const matrices = new Map<string, number[]>();
  for (const [index, { family, protocol, port }] of cells.entries()) {
    const name = `IPv${family} ${protocol} ${port}`;
    matrices.set(name, [...(matrices.get(name) ?? []), index]);
  }
  const isWrong = (index: number) => cells[index]!.isExpected !== (seen[index] === "open");
  return [...matrices]
    .filter(([, indices]) => indices.some(isWrong))
    .map(([name, indices]) => describeMatrix(name, indices, cells, seen))
    .join("\n");
}

function describeMatrix(
  name: string,
  indices: readonly number[],
  cells: readonly Cell[],
  seen: readonly Outcome[],
): string {
  const destinations = [...new Set(indices.map((index) => cells[index]!.destination))];
  const width = Math.max(...destinations.map((pod) => pod.length)) + 1;
  const row = (values: readonly string[]) => values.map((value) => value.padEnd(width)).join("");
  const sides = ["expected", "seen"].map((side) => {
    return [side.padEnd(9), row(destinations)].join("");
  });
  const lines = [...new Set(indices.map((index) => cells[index]!.source))].map((source) => {
    const own = indices.filter((index) => cells[index]!.source === source);
    const expected = own.map((index) => (cells[index]!.isExpected ? "." : "X"));
    const found = own.map((index) => {
      const mark = { open: ".", silent: "X", refused: "R" }[seen[index]!];
      return cells[index]!.isExpected === (seen[index] === "open") ? mark : `${mark}!`;
    });
    return [source.padEnd(9), row(expected), " ", source.padEnd(9), row(found)].join("");
  });
  return [`${name}, from row to column`, sides.join(" "), ...lines].join("\n");
}

function keyOf(pod: string): string {
  return splitPod(pod).join("/");
}
