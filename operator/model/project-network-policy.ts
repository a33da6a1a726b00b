import { cidrContains } from "./cidr.js";
import { formatCidr } from "./cidr-format.js";
import { type ClusterProjection, readNames, readTransport, shown } from "./cluster-projection.js";
import { JsonReader } from "./json-reader.js";
import { readLooseCidr } from "./loose-cidr.js";
import { readMode } from "./policy-mode.js";
import type { Draft } from "./projection.js";
import { EVERYTHING, readSelector } from "./read-selector.js";
import type { Cidr } from "./records.js";
import type {
  NetworkPolicyRecord,
  PodPeer,
  PodProtocol,
  PodRule,
} from "./records-network-policy.js";

/** Reads a NetworkPolicy (networking.k8s.io/v1); worth something without faults only. */
export function projectNetworkPolicy(
  manifest: unknown,
  { findings, interner }: ClusterProjection,
): Draft<NetworkPolicyRecord> {
  const policy = JsonReader.root(manifest, findings);
  const metadata = policy.object("metadata");
  const spec = policy.object("spec");
  const types = readTypes(spec);
  // Read also where they have no effect (N6): what is wrong there is wrong all the same.
  const ingress = readRules(spec, "ingress", "from");
  const egress = readRules(spec, "egress", "to");
  return {
    kind: "NetworkPolicy",
    ...readNames(metadata, interner),
    mode: readMode(metadata),
    podSelector: readSelector(spec.object("podSelector")),
    ingress: types.includes("Ingress") ? ingress : undefined,
    egress: types.includes("Egress") ? egress : undefined,
  };
}

/** N5: without types, Ingress, and Egress when there are egress rules. */
function readTypes(spec: JsonReader): readonly string[] {
  const types = spec.texts("policyTypes");
  for (const [index, type] of types.entries()) {
    if (type === "Ingress" || type === "Egress") continue;
    const message = `${shown(type)} is none of Ingress, Egress`;
    spec.fault("SLUICE_SCHEMA", ["policyTypes", index], message, "Write Ingress or Egress");
  }
  if (types.length > 0) return types;
  return spec.objects("egress").length > 0 ? ["Ingress", "Egress"] : ["Ingress"];
}

function readRules(spec: JsonReader, direction: string, side: string): readonly PodRule[] {
  return spec.objects(direction).map((rule) => ({
    peers: rule.objects(side).flatMap(readPeer),
    protocols: rule.objects("ports").flatMap(readPort),
  }));
}

function readPeer(peer: JsonReader): readonly PodPeer[] {
  const hasSelector = peer.has("podSelector") || peer.has("namespaceSelector");
  if (peer.has("ipBlock")) {
    const block = readBlock(peer.object("ipBlock"));
    if (!hasSelector) return block;
    const message = "has an ipBlock and a selector";
    peer.fault("SLUICE_RULE", [], message, "Make two entries of it");
    return [];
  }
  if (!hasSelector) {
    const message = "has neither podSelector nor namespaceSelector nor ipBlock";
    peer.fault("SLUICE_RULE", [], message, "Write one of them, or remove the entry");
    return [];
  }
  const namespaces = peer.object("namespaceSelector");
  return [
    {
      kind: "pods",
      namespaceSelector: namespaces.isPresent ? readSelector(namespaces) : undefined,
      podSelector: peer.has("podSelector") ? readSelector(peer.object("podSelector")) : EVERYTHING,
    },
  ];
}

function readBlock(block: JsonReader): readonly PodPeer[] {
  const text = block.requiredText("cidr");
  const cidr = readLooseCidr(text);
  if (cidr === undefined) {
    if (text !== "") block.fault("SLUICE_CIDR", ["cidr"], `${shown(text)} is no CIDR`);
    return [];
  }
  const except = block.texts("except").flatMap((text, index) => {
    const inner = readLooseCidr(text);
    if (inner === undefined) {
      block.fault("SLUICE_CIDR", ["except", index], `${shown(text)} is no CIDR`);
      return [];
    }
    if (isStrictlyInside(inner, cidr)) return inner;
    const message = `${formatCidr(inner)} is no smaller part of its cidr ${formatCidr(cidr)}`;
    block.fault("SLUICE_EXCEPT", ["except", index], message);
    return [];
  });
  return [{ kind: "cidr", cidr, except }];
}

/** N18. */
function isStrictlyInside(inner: Cidr, outer: Cidr): boolean {
  return inner.length > outer.length && cidrContains(outer, inner);
}

/** N25 to N28. */
function readPort(port: JsonReader): readonly PodProtocol[] {
  const kind = readTransport(port);
  const start = port.numberOrText("port");
  const end = port.integer("endPort", 1, 65_535);
  if (port.has("endPort") && typeof start !== "number") {
    const message = "needs a port that is a number";
    port.fault("SLUICE_RULE", ["endPort"], message, "Write the first port as a number");
    return [];
  }
  if (start === undefined) return [{ kind }];
  if (typeof start === "string") return [{ kind: "namedPort", name: start, protocol: kind }];
  if (end !== undefined && end < start) {
    const message = `${end} is below the port ${start}`;
    port.fault("SLUICE_RULE", ["endPort"], message, `Write ${start} or more`);
  }
  return [{ kind, destinationPort: { start, end: end ?? start } }];
}
