/**
 * An independent model of how Services are served, written from the tables of the semantics (services.md §1) and of what
 * is decided where they leave it open: who has an address that two claim, and which external IPs nobody gets.
 */

import {
  type Address,
  blockContains,
  type Family,
  isSameAddress,
  parseAddress,
  parseBlock,
} from "../policy-oracle/address.js";
import { readyBackendsHere, serve } from "./oracle-endpoints.js";
import type {
  Answer,
  NodeSetup,
  Packet,
  Policy,
  ServiceManifest,
  ServicePortManifest,
  World,
} from "./world.js";

/** §1.5, the words of the matrix: list, M for masqueraded. Rows are who sends, columns the policies. */
type Cell = "C" | "CM" | "L" | "LM";
interface Line {
  readonly cluster: Cell;
  readonly externalLocal: Cell;
  readonly internalLocal: Cell;
}
type Sender = "pod" | "node" | "outside";

const TO_CLUSTER_IP: Readonly<Record<Sender, Line>> = {
  pod: { cluster: "C", externalLocal: "C", internalLocal: "L" },
  node: { cluster: "CM", externalLocal: "CM", internalLocal: "LM" },
  outside: { cluster: "CM", externalLocal: "CM", internalLocal: "LM" },
};
const TO_EXTERNAL: Readonly<Record<Sender, Line>> = {
  pod: { cluster: "CM", externalLocal: "C", internalLocal: "CM" },
  node: { cluster: "CM", externalLocal: "CM", internalLocal: "CM" },
  outside: { cluster: "CM", externalLocal: "L", internalLocal: "CM" },
};

export function answerOf(world: World, packet: Packet): Answer {
  const { node } = world;
  const to = parseAddress(packet.destination);
  const hit = findService(world, to, packet);
  if (hit === undefined) return unknownDestination(world, to);
  const { service, port, kind } = hit;
  if (kind === "loadBalancer" && !admits(service, node, packet)) return "drop";
  const { list, masquerade } = cellOf(service, kind, senderOf(node, packet), node);
  const { backends, hasAny } = serve(world, service, port, to.family, list);
  // §1.6
  if (!hasAny) return "reject";
  if (backends.length === 0) return "drop";
  const answer = backends.map(({ address, text, port: number }) => {
    // §1.7: hairpin.
    const isHairpin = isSameAddress(address, parseAddress(packet.source));
    return `${text}:${number}${masquerade || isHairpin ? " M" : ""}`;
  });
  return answer.sort();
}

/** §1.11: distinct ready addresses on this node, by `namespace/name`. */
export function healthOf(world: World, family: Family): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const service of served(world)) {
    const { type, externalTrafficPolicy, healthCheckNodePort = 0 } = service.spec;
    if (type !== "LoadBalancer" || externalTrafficPolicy !== "Local") continue;
    if (healthCheckNodePort === 0) continue;
    const isServed = clusterIPOf(service, family) !== undefined;
    const count = isServed ? readyBackendsHere(world, service, family) : 0;
    counts.set(nameOf(service), count);
  }
  return counts;
}

type Kind = "clusterIP" | "loadBalancer" | "externalIP" | "nodePort";

interface Hit {
  readonly service: ServiceManifest;
  readonly port: ServicePortManifest;
  readonly kind: Kind;
}

function findService(world: World, to: Address, packet: Packet): Hit | undefined {
  const { node } = world;
  const services = served(world).filter((one) => clusterIPOf(one, to.family) !== undefined);
  const portOf = (service: ServiceManifest) =>
    service.spec.ports?.find(
      ({ port, protocol = "TCP" }) => port === packet.port && protocol === packet.protocol,
    );
  const ofClusterIP = clusterOwner(world, to);
  const hits: Hit[] = [];
  const offer = (kind: Kind, service: ServiceManifest | undefined) => {
    const port = service && portOf(service);
    if (service !== undefined && port !== undefined) hits.push({ service, port, kind });
  };
  if (ofClusterIP !== undefined) {
    offer("clusterIP", ofClusterIP);
  } else {
    const withPort = services.filter((service) => portOf(service) !== undefined);
    offer(
      "loadBalancer",
      oldest(withPort.filter((one) => balancedIPs(one).some((ip) => isSameAddress(ip, to)))),
    );
    const external = withPort.filter((one) =>
      externalIPs(one).some((ip) => isSameAddress(ip, to) && !isGuarded(world, one, ip)),
    );
    offer("externalIP", oldest(external));
  }
  if (hits.length > 0) return hits[0];
  if (!node.nodePortAddresses.map(parseAddress).some((own) => isSameAddress(own, to))) {
    return undefined;
  }
  const nodePortOf = (service: ServiceManifest) =>
    service.spec.ports?.find(
      ({ nodePort, protocol = "TCP" }) => nodePort === packet.port && protocol === packet.protocol,
    );
  const owner = oldest(services.filter((service) => nodePortOf(service) !== undefined));
  return owner && { service: owner, port: nodePortOf(owner)!, kind: "nodePort" };
}

/** §1.6: another port of a cluster IP is refused; what of the range is nobody's is dropped. */
function unknownDestination(world: World, to: Address): Answer {
  if (clusterOwner(world, to) !== undefined) return "reject";
  const isInRange = world.node.serviceRanges.some((range) => blockContains(parseBlock(range), to));
  return isInRange ? "drop" : "pass";
}

/** §1.1, §1.2 */
function served({ services }: World): readonly ServiceManifest[] {
  return services.filter(({ metadata: { labels = {} }, spec }) => {
    const keys = Object.keys(labels);
    return (
      spec.type !== "ExternalName" &&
      !keys.includes("service.kubernetes.io/service-proxy-name") &&
      !keys.includes("service.kubernetes.io/headless")
    );
  });
}

function clusterIPOf({ spec }: ServiceManifest, family: Family): Address | undefined {
  const texts = (spec.clusterIPs ?? []).filter((text) => text !== "None" && text !== "");
  return texts.map(parseAddress).find((address) => address.family === family);
}

function clusterOwner(world: World, to: Address): ServiceManifest | undefined {
  const owners = served(world).filter((service) => {
    const own = clusterIPOf(service, to.family);
    return own !== undefined && isSameAddress(own, to);
  });
  return oldest(owners);
}

/** §1.2: of the balancer only what it does not want to see itself. */
function balancedIPs({ status }: ServiceManifest): readonly Address[] {
  const entries = status?.loadBalancer?.ingress ?? [];
  return entries
    .filter(({ ipMode }) => ipMode === undefined || ipMode === "VIP")
    .flatMap(({ ip }) => (ip === undefined ? [] : parseAddress(ip)));
}

function externalIPs({ spec }: ServiceManifest): readonly Address[] {
  return (spec.externalIPs ?? []).map(parseAddress);
}

/** The guard of CVE-2020-8554. */
function isGuarded(world: World, service: ServiceManifest, address: Address): boolean {
  const { allowedExternalIPs, nodeAddresses, podRanges, serviceRanges } = world.node;
  const isIn = (blocks: readonly string[]) =>
    blocks.some((block) => blockContains(parseBlock(block), address));
  if (allowedExternalIPs !== undefined) return !isIn(allowedExternalIPs);
  const ofOthers = served(world)
    .filter((other) => other !== service && clusterIPOf(other, address.family) !== undefined)
    .flatMap(balancedIPs);
  return (
    nodeAddresses.map(parseAddress).some((one) => isSameAddress(one, address)) ||
    isIn(podRanges) ||
    isIn(serviceRanges) ||
    ofOthers.some((one) => isSameAddress(one, address))
  );
}

function oldest(services: readonly ServiceManifest[]): ServiceManifest | undefined {
  const age = ({ metadata }: ServiceManifest) => Date.parse(metadata.creationTimestamp ?? "") || 0;
  return [...services].sort(
    (one, other) => age(one) - age(other) || (nameOf(one) < nameOf(other) ? -1 : 1),
  )[0];
}

function nameOf({ metadata }: ServiceManifest): string {
  return `${metadata.namespace}/${metadata.name}`;
}

/** §1.8; the address of the balancer as source is the node itself where the balancer's address is bound to it. */
function admits({ spec }: ServiceManifest, node: NodeSetup, packet: Packet): boolean {
  const from = parseAddress(packet.source);
  const ranges = (spec.loadBalancerSourceRanges ?? [])
    .map((text) => parseBlock(text.trim()))
    .filter(({ family }) => family === from.family);
  if (ranges.length === 0) return true;
  const isIn = (address: Address) => ranges.some((range) => blockContains(range, address));
  const isNodeIn = node.ownAddresses.map(parseAddress).some(isIn);
  return isIn(from) || (isNodeIn && isSameAddress(from, parseAddress(packet.destination)));
}

function senderOf(node: NodeSetup, { source }: Packet): Sender {
  const from = parseAddress(source);
  if (node.ownAddresses.map(parseAddress).some((own) => isSameAddress(own, from))) return "node";
  const isPod = node.podRanges.some((range) => blockContains(parseBlock(range), from));
  return isPod ? "pod" : "outside";
}

function cellOf(
  { spec }: ServiceManifest,
  kind: Kind,
  sender: Sender,
  { knowsPods, masqueradeAll }: NodeSetup,
): { readonly list: Policy; readonly masquerade: boolean } {
  const { externalTrafficPolicy = "Cluster", internalTrafficPolicy = "Cluster" } = spec;
  const column =
    kind === "clusterIP"
      ? internalTrafficPolicy === "Local"
        ? "internalLocal"
        : "cluster"
      : externalTrafficPolicy === "Local"
        ? "externalLocal"
        : "cluster";
  const lines = kind === "clusterIP" ? TO_CLUSTER_IP : TO_EXTERNAL;
  let cell = lines[sender][column];
  // The three configurations that differ from the base.
  if (!knowsPods) {
    if (kind === "clusterIP") cell = cell.replace("M", "") as Cell;
    else if (sender === "pod") cell = lines.outside[column];
  }
  const masquerade = cell.endsWith("M") || (masqueradeAll && kind === "clusterIP");
  return { list: cell.startsWith("L") ? "Local" : "Cluster", masquerade };
}
