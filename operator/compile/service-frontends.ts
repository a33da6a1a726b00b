import { formatAddress } from "../model/cidr-format.js";
import type { Cidr, Problem } from "../model/records.js";
import type { Transport } from "../model/records-pod.js";
import type { ServicePort } from "../model/records-service.js";
import {
  type AddressWords,
  addressKey,
  formatWords,
  nodePortKey,
  type PortKey,
  portKey,
  wordsOf,
  wordsOfPair,
} from "./service-address.js";
import type { Claimant, ServiceClaims } from "./service-claims.js";
import { guardedBecause, type ServicePlace } from "./service-place.js";
import type { FrontendKind } from "./service-verdict.js";

/** Packets to this address and port are for a Service. */
export interface FrontendRow {
  /** Undefined: each of the node's addresses for node ports. */
  readonly address: AddressWords | undefined;
  readonly port: number;
  readonly protocol: Transport;
  readonly family: 4 | 6;
  readonly kind: FrontendKind;
}

/** Addresses that a Service has in one family. */
export interface AddressFrontends {
  /** Undefined: an older Service has it. */
  readonly clusterIP: AddressWords | undefined;
  /** To be asked once for each port: of two with one number the first has it. */
  frontendsOf(port: ServicePort): readonly FrontendRow[];
}

/** One address of a Service, and of what kind it is. */
interface Place {
  readonly words: AddressWords;
  readonly kind: FrontendKind;
}

/**
 * Where a Service is to be had in one family (services.md §1.4), and what of it another Service has, or nobody may
 * have: a problem for each.
 */
export function compileFrontends(
  claimant: Claimant,
  family: 4 | 6,
  { guard }: ServicePlace,
  claims: ServiceClaims,
  problems: Problem[],
): AddressFrontends {
  const { service, key } = claimant;
  const lose = (field: string, message: string, remedy: string, code: string) => {
    const { origin } = service;
    problems.push({
      severity: "warning",
      code,
      origin,
      kind: "Service",
      name: key,
      field,
      message,
      remedy,
    });
  };
  const clusterIP = wordsOfPair(service, family)!;
  const clusterOwner = claims.ownerOfClusterIP(addressKey(clusterIP));
  const ownsClusterIP = clusterOwner === claimant;
  if (!ownsClusterIP) {
    const message = `Services ${key} and ${clusterOwner?.key} have the same cluster IP ${formatWords(clusterIP)}, which stays that of ${clusterOwner?.key}, the older one`;
    lose("spec.clusterIPs", message, CLUSTER_REMEDY, "SLUICE_SERVICE_ADDRESS");
  }

  const places: Place[] = ownsClusterIP ? [{ words: clusterIP, kind: "clusterIP" }] : [];
  const known = new Set(places.map(({ words }) => addressKey(words)));
  const add = (address: Cidr, kind: "loadBalancerIP" | "externalIP") => {
    const words = wordsOf(address);
    const at = addressKey(words);
    if (known.has(at)) return;
    const reason = refusalOf(address, kind);
    if (reason === undefined) {
      known.add(at);
      places.push({ words, kind });
      return;
    }
    const [field, code, remedy] = REFUSALS[kind];
    lose(field, `${formatAddress(address)} ${reason}, and is left out`, remedy, code);
  };
  const refusalOf = (address: Cidr, kind: "loadBalancerIP" | "externalIP") => {
    const at = addressKey(wordsOf(address));
    const ofCluster = claims.ownerOfClusterIP(at);
    if (ofCluster !== undefined && ofCluster !== claimant) {
      return `is the cluster IP of Service ${ofCluster.key}`;
    }
    if (kind === "loadBalancerIP") return undefined;
    // Its own address is taken anyway.
    if (ofCluster === undefined && guard.allowed === undefined) {
      const other = claims.ownerOfLoadBalancerIP(at, claimant);
      if (other !== undefined) return `is an address of Service ${other.key}`;
    }
    return guardedBecause(address, guard);
  };
  for (const address of service.loadBalancerIPs) {
    if (address.family === family) add(address, "loadBalancerIP");
  }
  for (const address of service.externalIPs) {
    if (address.family === family) add(address, "externalIP");
  }

  const taken = new Set<string>();
  const isOwn = (at: PortKey, what: string, field: string) => {
    const owner = claims.ownerOfPort(at);
    if (owner === claimant) return true;
    const message = `Services ${key} and ${owner?.key} ask for ${what}, which stays that of ${owner?.key}`;
    lose(field, message, PORT_REMEDY, "SLUICE_SERVICE_PORT");
    return false;
  };
  return {
    clusterIP: ownsClusterIP ? clusterIP : undefined,
    frontendsOf({ port, protocol, nodePort }) {
      const frontends: FrontendRow[] = [];
      const row = { protocol, family };
      const isFirst = !taken.has(`${protocol} ${port}`);
      taken.add(`${protocol} ${port}`);
      for (const { words: address, kind } of isFirst ? places : []) {
        const field = kind === "loadBalancerIP" ? "status.loadBalancer" : "spec.externalIPs";
        const what = `${protocol} port ${port} of ${formatWords(address)}`;
        if (kind !== "clusterIP" && !isOwn(portKey(address, port, protocol), what, field)) continue;
        frontends.push({ ...row, address, port, kind });
      }
      const isFree = nodePort !== 0 && !taken.has(`node ${protocol} ${nodePort}`);
      taken.add(`node ${protocol} ${nodePort}`);
      const what = `${protocol} port ${nodePort} of the nodes`;
      if (isFree && isOwn(nodePortKey(family, nodePort, protocol), what, "spec.ports")) {
        frontends.push({ ...row, address: undefined, port: nodePort, kind: "nodePort" });
      }
      return frontends;
    },
  };
}

const CLUSTER_REMEDY = "Delete one of the two, or give it another cluster IP";
const PORT_REMEDY = "Give one of the two another port or address";
const REFUSALS = {
  loadBalancerIP: [
    "status.loadBalancer",
    "SLUICE_SERVICE_ADDRESS",
    "Let the load balancer give addresses that are not cluster IPs",
  ],
  externalIP: [
    "spec.externalIPs",
    "SLUICE_EXTERNAL_IP",
    "Use an address of your own outside of the cluster, or allow its range",
  ],
} as const;
