import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  layoutHash,
  Limits,
  uplinkMaps,
  Verdict,
  Reason,
} from "../../datapath/generated/layout.js";
import { openBank } from "./bank.js";

/** dist/bpf, beside the compiled program. */
const OBJECT = fileURLToPath(new URL("../../bpf/uplink.o", import.meta.url));

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
 * Loads the uplink's programs over the tables of an earlier agent, or over new ones: openBank().
 *
 * @throws SluiceError from datapath/: SLUICE_NO_CAPABILITY, SLUICE_NO_BPFFS, SLUICE_VERIFIER_REFUSED, SLUICE_MAP_LAYOUT …
 */
export async function openDatapath({ pinRoot, addressLines, metadata }: DatapathOptions) {
  const folder = layoutFolder(pinRoot);
  const bank = await openBank(
    {
      object: OBJECT,
      folder: join(folder, "maps"),
      maps: uplinkMaps,
      sizes: {
        address_lines: addressLines,
        outcome_counters: Limits.MAX_UPLINK_SLOTS * Verdict.VERDICTS * Reason.REASONS,
      },
      globals: { write_metadata: metadata },
    },
    ({ program }) => ({
      uplink: program("uplink"),
      uplinkTrace: program("uplink_trace"),
      uplinkEgress: program("uplink_egress"),
    }),
  );
  return { folder, ...bank };
}

/** The loaded programs and the tables of one agent's uplink. Only `apply/` writes them. */
export type Datapath = Awaited<ReturnType<typeof openDatapath>>;
