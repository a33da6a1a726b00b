import type { PartOptions } from "../result.js";
import type { Routing } from "./nodes.js";
import { type Mode, modes, type Passed, runClient } from "./traffic.js";
import type { PodWorld } from "./world.js";

export const paths = ["same node", "direct", "vxlan"] as const;
export type Path = (typeof paths)[number];

/** What both got through in each round. */
export interface Rates {
  readonly path: Path;
  readonly mode: Mode;
  readonly policies: number;
  readonly sluice: Passed[];
  readonly routed: Passed[];
}

const full = { rounds: 11, timeMs: 400 };
const quick = { rounds: 2, timeMs: 100 };

/** Measures both in turn, each round all of them once, so that a slow minute meets all alike. */
export async function measureRates(
  { sluice, routed }: PodWorld,
  routing: Routing,
  policies: number,
  options: PartOptions,
  progress: (text: string) => void,
): Promise<readonly Rates[]> {
  const { rounds, timeMs } = options.quick ? quick : full;
  const wanted: readonly Path[] = routing === "direct" ? ["same node", "direct"] : ["vxlan"];
  const rates = wanted.flatMap((path) =>
    modes.map((mode): Rates => ({ path, mode, policies, sluice: [], routed: [] })),
  );
  for (let round = 0; round < rounds; round++) {
    progress(`${routing}, ${policies} policies: round ${round + 1} of ${rounds}`);
    for (const { path, mode, ...row } of rates) {
      for (const [trio, into] of [
        [sluice, row.sluice],
        [routed, row.routed],
      ] as const) {
        const to = path === "same node" ? trio.near : trio.far;
        into.push(await runClient(trio.client, to, mode, timeMs));
      }
    }
  }
  return rates;
}
