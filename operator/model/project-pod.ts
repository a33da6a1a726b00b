import {
  type ClusterProjection,
  NONE,
  pairAddresses,
  readAnnotations,
  readLabels,
  readNames,
  readTransport,
  shown,
} from "./cluster-projection.js";
import { JsonReader } from "./json-reader.js";
import type { Draft } from "./projection.js";
import { parseQuantity } from "./quantity.js";
import type { AddressPair, NamedPort, PodRecord } from "./records-pod.js";

const NO_ADDRESS: AddressPair = { ipv4: undefined, ipv6: undefined };
/** What the bandwidth plugin and kubelet take: 1 kbit/s to 1 Pbit/s. */
const LEAST_BANDWIDTH = 1e3;
const MOST_BANDWIDTH = 1e15;

/** Reads a Pod (v1); worth something without faults only. */
export function projectPod(
  manifest: unknown,
  { findings, interner }: ClusterProjection,
): Draft<PodRecord> {
  const pod = JsonReader.root(manifest, findings);
  const metadata = pod.object("metadata");
  const spec = pod.object("spec");
  const status = pod.object("status");
  const { namespace, name } = readNames(metadata, interner);
  const nodeName = spec.text("nodeName") || undefined;
  const phase = status.text("phase");
  const isCompleted = phase === "Succeeded" || phase === "Failed";
  const addresses = isCompleted ? NO_ADDRESS : readAddresses(status);
  const annotations = metadata.object("annotations");
  const staticUid = readStaticUid(annotations);
  return {
    kind: "Pod",
    namespace,
    name,
    uid: metadata.text("uid") ?? "",
    ...(staticUid !== undefined && { staticUid }),
    nodeName: nodeName && interner.text(nodeName),
    labels: readLabels(metadata, interner),
    ipv4: addresses.ipv4,
    ipv6: addresses.ipv6,
    isHostNetwork: spec.flag("hostNetwork") ?? false,
    isCompleted,
    namedPorts: interner.list(readNamedPorts(spec)),
    ingressBitsPerSecond: readBandwidth(annotations, "kubernetes.io/ingress-bandwidth"),
    egressBitsPerSecond: readBandwidth(annotations, "kubernetes.io/egress-bandwidth"),
    annotations: readAnnotations(metadata, interner),
  };
}

/** The kubelet writes both into a mirror, with one value: the uid that it gave the pod which it read from a file. */
function readStaticUid(annotations: JsonReader): string | undefined {
  const uid = annotations.text("kubernetes.io/config.mirror");
  return uid && uid === annotations.text("kubernetes.io/config.hash") ? uid : undefined;
}

function readAddresses(status: JsonReader): AddressPair {
  const listed = status.objects("podIPs").flatMap((entry, index) => {
    const text = entry.text("ip");
    return text ? ([[text, ["podIPs", index, "ip"]]] as const) : [];
  });
  if (listed.length > 0) return pairAddresses(listed, status);
  const only = status.text("podIP");
  return only ? pairAddresses([[only, ["podIP"]]], status) : NO_ADDRESS;
}

function readNamedPorts(spec: JsonReader): readonly NamedPort[] {
  // Only those init containers serve that run beside the others: sidecars.
  const sidecars = spec
    .objects("initContainers")
    .filter((container) => container.text("restartPolicy") === "Always");
  let named: NamedPort[] | undefined;
  for (const container of [...spec.objects("containers"), ...sidecars]) {
    for (const port of container.objects("ports")) {
      const name = port.text("name");
      const number = port.integer("containerPort", 1, 65_535);
      const protocol = readTransport(port);
      if (!name || number === undefined) continue;
      named ??= [];
      named.push({ name, protocol, port: number });
    }
  }
  return named ?? NONE;
}

/** The API server takes any text here: what is no bandwidth is told, and does not limit. */
function readBandwidth(annotations: JsonReader, key: string): number | undefined {
  const text = annotations.text(key);
  if (text === undefined) return undefined;
  const bits = parseQuantity(text);
  if (bits !== undefined && bits >= LEAST_BANDWIDTH && bits <= MOST_BANDWIDTH) return bits;
  const message = `${shown(text)} is no bandwidth from 1k to 1P bits per second, and limits nothing`;
  annotations.warning("SLUICE_SCHEMA", [key], message, "Write a quantity such as 10M");
  return undefined;
}
