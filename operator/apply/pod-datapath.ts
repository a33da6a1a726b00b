import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  ConnectionKey,
  Flow,
  FlowCounts,
  FragmentKey,
  HostPort,
  HostPortKey,
  Limits,
  NodeAddress,
  Pod,
  PodInterface,
  PodKey,
  PodRoute,
  PodRouteKey,
  podMaps,
  TranslatedFragment,
} from "../../datapath/generated/layout.js";
import { u32 } from "../../datapath/codec.js";
import { openBank } from "./bank.js";
import { layoutFolder } from "./datapath.js";

/** dist/bpf, beside the compiled program. */
const OBJECT = fileURLToPath(new URL("../../bpf/pod.o", import.meta.url));

export interface PodDatapathOptions {
  /** Folder in a bpffs; one per agent. */
  readonly pinRoot: string;
  readonly addressLines: number;
  readonly flows: number;
}

/**
 * Tables of the shared classifier that rules of pods do not use: flows stand in for connections, nothing is limited
 * by source.
 */
const UNUSED = { connections: 64, source_buckets: 64 };

/** Several pages, one behind the other: one pod may have more rules than a page holds. */
const PAGES = {
  rules: Limits.MAX_POD_PAGES * 2 * Limits.MAX_RULES,
  bitmaps: Limits.MAX_POD_PAGES * 2 * Limits.BITMAPS,
  rule_counters: Limits.MAX_POD_PAGES * Limits.MAX_RULE_SLOTS,
  rule_names: Limits.MAX_POD_PAGES * Limits.MAX_RULE_SLOTS,
  node_buckets: Limits.MAX_POD_PAGES * Limits.MAX_RULE_SLOTS,
};

/**
 * Loads the pods' programs over the pods' bank: openBank().
 *
 * @throws SluiceError from datapath/: SLUICE_NO_CAPABILITY, SLUICE_NO_BPFFS, SLUICE_VERIFIER_REFUSED, SLUICE_MAP_LAYOUT …
 */
export async function openPodDatapath({ pinRoot, addressLines, flows }: PodDatapathOptions) {
  const folder = join(layoutFolder(pinRoot), "pods");
  const bank = await openBank(
    {
      object: OBJECT,
      folder,
      maps: podMaps,
      sizes: { address_lines: addressLines, flows, ...UNUSED, ...PAGES },
    },
    ({ program, map, mapped, perCpu }) => ({
      podOut: program("pod_out"),
      podIn: program("pod_in"),
      podArrive: program("pod_arrive"),
      podTrace: program("pod_trace"),
      podInterfaces: map("pod_interfaces", u32, PodInterface),
      pods: map("pods", PodKey, Pod),
      nodeAddresses: map("node_addresses", PodKey, NodeAddress),
      podRoutes: map("pod_routes", PodRouteKey, PodRoute),
      hostPorts: map("host_ports", HostPortKey, HostPort),
      translatedFragments: map("translated_fragments", FragmentKey, TranslatedFragment),
      podRates: mapped("pod_rates"),
      flows: map("flows", ConnectionKey, Flow),
      flowCounters: perCpu("flow_counters", FlowCounts),
      flowCollections: mapped("flow_collections"),
    }),
  );
  return { folder, ...bank };
}

/** The loaded programs and the tables of one agent's pods. Only `apply/` writes them. */
export type PodDatapath = Awaited<ReturnType<typeof openPodDatapath>>;
