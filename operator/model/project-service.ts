import {
  type ClusterProjection,
  isExcluded,
  NONE,
  pairAddresses,
  readAnnotations,
  readCidrs,
  readNames,
  readTransport,
  shown,
  trimmed,
} from "./cluster-projection.js";
import { JsonReader } from "./json-reader.js";
import { readLooseAddress } from "./loose-cidr.js";
import { readCreation } from "./project-node.js";
import type { Draft } from "./projection.js";
import type { Cidr } from "./records.js";
import type { AddressPair } from "./records-pod.js";
import type { ServicePort, ServiceRecord } from "./records-service.js";

const TYPES = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] as const;
const TRAFFIC_POLICIES = ["Cluster", "Local"] as const;
const TOPOLOGY_MODE = "service.kubernetes.io/topology-mode";
const HEADLESS = "None";
/** Defaults of the API server, which manifests leave out. */
const AFFINITY_SECONDS = 10_800;
const MOST_AFFINITY_SECONDS = 86_400;

/** Reads a Service (v1), by services.md §1.2; worth something without faults only. */
export function projectService(
  manifest: unknown,
  { findings, interner }: ClusterProjection,
): Draft<ServiceRecord> {
  const service = JsonReader.root(manifest, findings);
  const metadata = service.object("metadata");
  const spec = service.object("spec");
  const { namespace, name } = readNames(metadata, interner);
  const type = spec.choice("type", TYPES) ?? "ClusterIP";
  const isExternalName = type === "ExternalName";
  const isHeadless = readClusterTexts(spec).some(([text]) => text === HEADLESS);
  const { ipv4, ipv6 } = isExternalName ? NO_ADDRESS : readClusterAddresses(spec);
  const trafficDistribution = spec.text("trafficDistribution");
  return {
    kind: "Service",
    namespace,
    name,
    createdAtMs: readCreation(manifest),
    type,
    isExcluded: isExcluded(metadata),
    isHeadless,
    ipv4,
    ipv6,
    ports: interner.list(spec.objects("ports").flatMap(readPort)),
    externalIPs: readExternalIPs(spec),
    loadBalancerIPs: readLoadBalancerIPs(service.object("status").object("loadBalancer")),
    sourceRanges: readCidrs(spec, "loadBalancerSourceRanges"),
    externalTrafficPolicy: spec.choice("externalTrafficPolicy", TRAFFIC_POLICIES) ?? "Cluster",
    internalTrafficPolicy: spec.choice("internalTrafficPolicy", TRAFFIC_POLICIES) ?? "Cluster",
    healthCheckNodePort: spec.integer("healthCheckNodePort", 0, 65_535) ?? 0,
    affinitySeconds: readAffinity(spec),
    publishNotReadyAddresses: spec.flag("publishNotReadyAddresses") ?? false,
    trafficDistribution: trafficDistribution && interner.text(trafficDistribution),
    loadBalancerClass: spec.text("loadBalancerClass"),
    annotations: readAnnotations(metadata, interner, [TOPOLOGY_MODE]),
  };
}

const NO_ADDRESS: AddressPair = { ipv4: undefined, ipv6: undefined };

type PlacedText = readonly [text: string, steps: readonly (string | number)[]];

function readClusterTexts(spec: JsonReader): readonly PlacedText[] {
  const listed = spec.texts("clusterIPs");
  if (listed.length > 0) return listed.map((text, index) => [text, ["clusterIPs", index]]);
  const only = spec.text("clusterIP");
  return only ? [[only, ["clusterIP"]]] : NONE;
}

function readClusterAddresses(spec: JsonReader): AddressPair {
  const texts = readClusterTexts(spec).filter(([text]) => text !== HEADLESS && text !== "");
  return pairAddresses(texts, spec);
}

function readPort(port: JsonReader): readonly ServicePort[] {
  const number = port.integer("port", 1, 65_535);
  if (number === undefined) {
    if (!port.has("port")) port.fault("SLUICE_SCHEMA", ["port"], "is missing", "Add it");
    return NONE;
  }
  return [
    {
      name: port.text("name") ?? "",
      protocol: readTransport(port),
      port: number,
      targetPort: port.numberOrText("targetPort") ?? number,
      nodePort: port.integer("nodePort", 0, 65_535) ?? 0,
    },
  ];
}

function readExternalIPs(spec: JsonReader): readonly Cidr[] {
  const texts = spec.texts("externalIPs");
  if (texts.length === 0) return NONE;
  return trimmed(texts.flatMap((text, index) => usable(text, spec, ["externalIPs", index])));
}

function readLoadBalancerIPs(loadBalancer: JsonReader): readonly Cidr[] {
  const entries = loadBalancer.objects("ingress");
  if (entries.length === 0) return NONE;
  const captured = entries.flatMap((entry) => {
    // With `Proxy` the packets must reach the balancer itself (KEP-1860); host names are not captured.
    const isCaptured = (entry.text("ipMode") ?? "VIP") === "VIP";
    const text = entry.text("ip");
    return text && isCaptured ? usable(text, entry, ["ip"]) : NONE;
  });
  return trimmed(captured);
}

/** One bad address among several takes the others not along: kube-proxy leaves it out as well. */
function usable(
  text: string,
  reader: JsonReader,
  steps: readonly (string | number)[],
): readonly Cidr[] {
  const address = readLooseAddress(text);
  if (address !== undefined) return [address];
  const message = `${shown(text)} is no IP address, and is left out`;
  reader.warning("SLUICE_CIDR", steps, message, "Write an address");
  return NONE;
}

function readAffinity(spec: JsonReader): number {
  const affinity = spec.choice("sessionAffinity", ["None", "ClientIP"]);
  const config = spec.object("sessionAffinityConfig").object("clientIP");
  const seconds = config.integer("timeoutSeconds", 1, MOST_AFFINITY_SECONDS);
  return affinity === "ClientIP" ? (seconds ?? AFFINITY_SECONDS) : 0;
}
