import { type ClusterProjection, NONE, readCidrs, trimmed } from "./cluster-projection.js";
import { JsonReader } from "./json-reader.js";
import { readMode } from "./policy-mode.js";
import type { Draft } from "./projection.js";
import { EVERYTHING, readSelector } from "./read-selector.js";
import type {
  ClusterNetworkPolicyRecord,
  PodPeer,
  PodProtocol,
  TierRule,
  Unknown,
} from "./records-network-policy.js";

const TIERS = ["Admin", "Baseline"] as const;
const ACTIONS = ["Accept", "Deny", "Pass"] as const;
const TRANSPORTS = ["tcp", "udp", "sctp"] as const;
const INGRESS_PEERS = ["namespaces", "pods"] as const;
const EGRESS_PEERS = [...INGRESS_PEERS, "nodes", "networks", "domainNames"] as const;
const PROTOCOLS = [...TRANSPORTS, "destinationNamedPort"] as const;

type PeerField = (typeof EGRESS_PEERS)[number];

interface Direction {
  readonly side: "from" | "to";
  readonly peers: readonly PeerField[];
}

const INGRESS: Direction = { side: "from", peers: INGRESS_PEERS };
const EGRESS: Direction = { side: "to", peers: EGRESS_PEERS };

/**
 * Reads a ClusterNetworkPolicy (policy.networking.k8s.io/v1alpha2); worth something without faults
 * only.
 */
export function projectClusterNetworkPolicy(
  manifest: unknown,
  { findings }: Pick<ClusterProjection, "findings">,
): Draft<ClusterNetworkPolicyRecord> {
  const policy = JsonReader.root(manifest, findings);
  const metadata = policy.object("metadata");
  const spec = policy.object("spec");
  return {
    kind: "ClusterNetworkPolicy",
    name: metadata.requiredText("name"),
    mode: readMode(metadata),
    tier: required(spec, "tier", TIERS),
    priority: readPriority(spec),
    subject: readSubject(spec.object("subject")),
    ingress: spec.objects("ingress").map((rule) => readRule(rule, INGRESS)),
    egress: spec.objects("egress").map((rule) => readRule(rule, EGRESS)),
  };
}

function required<T extends string>(reader: JsonReader, name: string, choices: readonly T[]): T {
  if (!reader.has(name)) {
    const remedy = `Write one of ${choices.join(", ")}`;
    reader.fault("SLUICE_SCHEMA", [name], "is missing", remedy);
  }
  return reader.choice(name, choices) ?? choices[0]!;
}

function readPriority(spec: JsonReader): number {
  if (!spec.has("priority")) {
    const remedy = "Write a number from 0 to 1000; lower ones come first";
    spec.fault("SLUICE_SCHEMA", ["priority"], "is missing", remedy);
  }
  return spec.integer("priority", 0, 1000) ?? 0;
}

function readSubject(subject: JsonReader): ClusterNetworkPolicyRecord["subject"] {
  const field = onlyField(subject, INGRESS_PEERS);
  if (field === "namespaces") {
    const namespaceSelector = readSelector(subject.object(field));
    return { namespaceSelector, podSelector: EVERYTHING };
  }
  if (field === "pods") return readPods(subject.object(field));
  // Whom to protect cannot be guessed, unlike whom to let in.
  const remedy = "Write one of namespaces, pods";
  subject.fault("SLUICE_RULE", [], "has neither namespaces nor pods", remedy);
  return { namespaceSelector: EVERYTHING, podSelector: EVERYTHING };
}

function readPods(pods: JsonReader) {
  return {
    namespaceSelector: readSelector(pods.object("namespaceSelector")),
    podSelector: readSelector(pods.object("podSelector")),
  };
}

function readRule(rule: JsonReader, { side, peers: fields }: Direction): TierRule {
  const entries = rule.objects(side);
  if (entries.length === 0) {
    rule.fault("SLUICE_RULE", [side], "names no peer", "Write namespaces: {} for every pod");
  }
  const peers = trimmed(entries.flatMap((peer) => readPeer(peer, fields)));
  const protocols = trimmed(rule.objects("protocols").map(readProtocol));
  const isPodsOnly = peers.every(({ kind }) => kind === "pods" || kind === "unknown");
  if (!isPodsOnly && protocols.some(({ kind }) => kind === "namedPort")) {
    const message = "has a named port, but not all of its peers are pods";
    rule.fault("SLUICE_RULE", ["protocols"], message, "Write numbers, or make two rules of it");
  }
  return {
    name: rule.text("name") ?? "",
    action: required(rule, "action", ACTIONS),
    peers,
    protocols,
  };
}

function readPeer(peer: JsonReader, fields: readonly PeerField[]): readonly PodPeer[] {
  const field = onlyField(peer, fields);
  if ((field === "networks" || field === "domainNames") && peer.texts(field).length === 0) {
    // Without a peer the rule would be one for all.
    peer.fault("SLUICE_RULE", [field], "names no peer", "List at least one, or remove the entry");
  }
  switch (field) {
    case "namespaces": {
      const namespaceSelector = readSelector(peer.object(field));
      return [{ kind: "pods", namespaceSelector, podSelector: EVERYTHING }];
    }
    case "pods":
      return [{ kind: "pods", ...readPods(peer.object(field)) }];
    case "nodes":
      return [{ kind: "nodes", selector: readSelector(peer.object(field)) }];
    case "networks":
      return readCidrs(peer, field).map((cidr) => ({ kind: "cidr", cidr, except: NONE }));
    case "domainNames": {
      const names = peer.texts(field);
      if (names.length > 0) {
        const message = "domain names are not supported: this peer matches nothing";
        peer.warning("SLUICE_NOT_SUPPORTED", [field], message, "Write networks instead");
      }
      return [{ kind: "domainNames", names }];
    }
    case undefined:
      return [unknown(peer)];
  }
}

function readProtocol(protocol: JsonReader): PodProtocol {
  const field = onlyField(protocol, PROTOCOLS);
  if (field === undefined) return unknown(protocol);
  if (field === "destinationNamedPort") {
    return { kind: "namedPort", name: protocol.requiredText(field) };
  }
  const match = protocol.object(field);
  const port = match.object("destinationPort");
  // Each of these objects has at least one field: without one that is known it is a newer one.
  if (!match.isPresent || !port.isPresent) return unknown(match);
  const number = port.integer("number", 1, 65_535);
  const range = port.object("range");
  if (port.has("number") && range.isPresent) {
    port.fault("SLUICE_RULE", [], "has a number and a range", "Remove one of them");
  }
  if (number !== undefined) return { kind: field, destinationPort: { start: number, end: number } };
  if (!range.isPresent) return unknown(port);
  return { kind: field, destinationPort: readRange(range) };
}

function readRange(range: JsonReader) {
  const start = range.integer("start", 1, 65_535);
  const end = range.integer("end", 1, 65_535);
  for (const name of ["start", "end"]) {
    if (!range.has(name)) range.fault("SLUICE_SCHEMA", [name], "is missing", "Write a port");
  }
  if (start !== undefined && end !== undefined && start >= end) {
    const message = `${end} is not above start ${start}`;
    range.fault("SLUICE_RULE", ["end"], message, `Write more than ${start}, or a number`);
  }
  return { start: start ?? 1, end: end ?? 1 };
}

/** The one of these fields that is there; more than one is a fault. */
function onlyField<T extends string>(reader: JsonReader, fields: readonly T[]): T | undefined {
  const [first, second] = fields.filter((field) => reader.has(field));
  if (second !== undefined) {
    reader.fault("SLUICE_RULE", [second], `stands beside ${first}`, "Make two entries of it");
  }
  return first;
}

function unknown(reader: JsonReader): Unknown {
  const fields = reader.names();
  reader.warning(
    "SLUICE_UNKNOWN_FIELD",
    [],
    `has no field that is known${fields.length > 0 ? `, but ${fields.slice(0, 3).join(", ")}` : ""}: an Accept rule matches nothing, others deny everything`,
    "Use fields of v1alpha2, or a newer Sluice",
  );
  return { kind: "unknown", fields };
}
