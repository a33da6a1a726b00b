import { type ClusterProjection, readLabels } from "./cluster-projection.js";
import { JsonReader } from "./json-reader.js";
import type { Draft } from "./projection.js";
import type { NamespaceRecord } from "./records-pod.js";

const NAME_LABEL = "kubernetes.io/metadata.name";

/** Reads a Namespace (v1); worth something without faults only. */
export function projectNamespace(
  manifest: unknown,
  { findings, interner }: ClusterProjection,
): Draft<NamespaceRecord> {
  const metadata = JsonReader.root(manifest, findings).object("metadata");
  const name = metadata.requiredText("name");
  const labels = readLabels(metadata, interner);
  return {
    kind: "Namespace",
    name,
    // Set by the API server on every namespace (N16); manifests have it not.
    labels:
      labels[NAME_LABEL] === name ? labels : interner.labels({ ...labels, [NAME_LABEL]: name }),
  };
}
