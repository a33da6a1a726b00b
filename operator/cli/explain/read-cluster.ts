import type { Readable } from "node:stream";
import type { ExplainInput } from "../../compile/pod-explainer.js";
import type { Problem } from "../../model/records.js";
import type { SourceRecord } from "../../source/source.js";
import { readManifests } from "../read-manifests.js";
import { giveAddresses, type GivenAddress } from "./give-addresses.js";

const kinds = ["Pod", "Namespace", "NetworkPolicy", "ClusterNetworkPolicy"] as const;
const others: readonly string[] = ["XdpPolicy", "XdpCidrSet"];

/** The cluster that manifests describe. */
export interface ManifestCluster {
  readonly input: ExplainInput;
  /** Pods whose manifest has no address, with the one that they were given. */
  readonly given: readonly GivenAddress[];
  /** Of the kinds that are read; and policies of other kinds, which are left out, as warnings. */
  readonly problems: readonly Problem[];
}

/**
 * Reads manifests as an agent reads its folder: files, folders and all below them, and `-` for what is piped in. What the
 * API server would fill in is filled in.
 *
 * @throws SluiceError SLUICE_FILE when a path itself cannot be read
 */
export async function readCluster(
  paths: readonly string[],
  stdin: Readable,
): Promise<ManifestCluster> {
  const { records, problems } = await readManifests([...new Set(paths)], kinds, stdin);
  const of = <K extends SourceRecord["kind"]>(kind: K) =>
    records.filter((record): record is Extract<SourceRecord, { kind: K }> => record.kind === kind);
  const nodes = of("Node");
  const { pods, given } = giveAddresses(of("Pod"), nodes);
  return {
    input: {
      pods: new Map(pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod])),
      namespaces: new Map(of("Namespace").map((one) => [one.name, one])),
      nodes,
      networkPolicies: of("NetworkPolicy"),
      clusterNetworkPolicies: of("ClusterNetworkPolicy"),
    },
    given,
    problems: problems.filter(matters),
  };
}

function matters({ code, kind = "" }: Problem): boolean {
  if (code === "SLUICE_FOREIGN_KIND") return kind.endsWith("NetworkPolicy");
  return !others.includes(kind);
}
