import type { Cidr } from "../model/records.js";
import type { ServiceRecord } from "../model/records-service.js";
import { Owners } from "./owners.js";
import {
  type AddressKey,
  addressKey,
  nodePortKey,
  type PortKey,
  portKey,
  wordsOf,
  wordsOfPair,
} from "./service-address.js";

/** A Service that is served here, and all it asks for. */
export interface Claimant {
  readonly key: string;
  readonly service: ServiceRecord;
  readonly clusterIPs: readonly AddressKey[];
  readonly loadBalancerIPs: readonly AddressKey[];
  readonly externalIPs: readonly AddressKey[];
  /** Of loadBalancerIPs, then of externalIPs and node ports. */
  readonly balancedPorts: readonly PortKey[];
  readonly otherPorts: readonly PortKey[];
}

/** IP families that a Service is served in: those with a cluster IP (services.md §1.1). */
export function familiesOf(service: ServiceRecord): readonly (4 | 6)[] {
  const { isExcluded, type, ipv4, ipv6 } = service;
  if (isExcluded || type === "ExternalName") return [];
  const families: (4 | 6)[] = [];
  if (ipv4 !== undefined) families.push(4);
  if (ipv6 !== undefined) families.push(6);
  return families;
}

/**
 * Who has which address and port, of all Services. A cluster IP belongs to one Service, the port of any other address and
 * a port of the node, too: to the older one; where both are of one age, to the first by name. What a load balancer gave
 * comes before external IPs.
 */
export class ServiceClaims {
  readonly #claimants = new Map<string, Claimant>();
  readonly #clusterIPs = new Owners<AddressKey, Claimant>();
  readonly #loadBalancerIPs = new Owners<AddressKey, Claimant>();
  readonly #externalIPs = new Owners<AddressKey, Claimant>();
  readonly #balancedPorts = new Owners<PortKey, Claimant>();
  readonly #otherPorts = new Owners<PortKey, Claimant>();

  /**
   * @param service undefined: it is gone
   * @param touched told of each other Service whose rows may have changed with it
   */
  set(key: string, service: ServiceRecord | undefined, touched: (key: string) => void): void {
    const before = this.#claimants.get(key);
    if (before?.service === service) return;
    const after = service && familiesOf(service).length > 0 ? claimantOf(key, service) : undefined;
    if (before !== undefined) this.#remove(before);
    if (after !== undefined) this.#add(after);
    if (after === undefined) this.#claimants.delete(key);
    else this.#claimants.set(key, after);
    const others = new Set<string>();
    for (const claimant of [before, after]) {
      if (claimant === undefined) continue;
      for (const other of this.#touchedBy(claimant)) others.add(other.key);
    }
    others.delete(key);
    for (const other of others) touched(other);
  }

  get(key: string): Claimant | undefined {
    return this.#claimants.get(key);
  }

  withExternalIPs(): Iterable<Claimant> {
    return [...this.#claimants.values()].filter(({ externalIPs }) => externalIPs.length > 0);
  }

  /** The Service that has a cluster IP. */
  ownerOfClusterIP(key: AddressKey): Claimant | undefined {
    return oldest(this.#clusterIPs.of(key));
  }

  /** The Service that a load balancer gave the address; several may have different ports of it. */
  ownerOfLoadBalancerIP(key: AddressKey, except: Claimant): Claimant | undefined {
    return oldest([...this.#loadBalancerIPs.of(key)].filter((owner) => owner !== except));
  }

  /** The Service that has a port of an address, or of the node, where the address is nobody's cluster IP. */
  ownerOfPort(key: PortKey): Claimant | undefined {
    return oldest(this.#balancedPorts.of(key)) ?? oldest(this.#otherPorts.of(key));
  }

  #add(claimant: Claimant): void {
    for (const [owners, keys] of this.#tables(claimant)) {
      for (const key of keys) (owners as Owners<AddressKey, Claimant>).add(key, claimant);
    }
  }

  #remove(claimant: Claimant): void {
    for (const [owners, keys] of this.#tables(claimant)) {
      for (const key of keys) (owners as Owners<AddressKey, Claimant>).remove(key, claimant);
    }
  }

  #tables(claimant: Claimant) {
    return [
      [this.#clusterIPs, claimant.clusterIPs],
      [this.#loadBalancerIPs, claimant.loadBalancerIPs],
      [this.#externalIPs, claimant.externalIPs],
      [this.#balancedPorts, claimant.balancedPorts],
      [this.#otherPorts, claimant.otherPorts],
    ] as const;
  }

  /** Whoever's rows depend on whether this one is there. */
  *#touchedBy(claimant: Claimant): Iterable<Claimant> {
    for (const key of claimant.clusterIPs) {
      yield* this.#clusterIPs.of(key);
      yield* this.#loadBalancerIPs.of(key);
      yield* this.#externalIPs.of(key);
    }
    for (const key of claimant.loadBalancerIPs) yield* this.#externalIPs.of(key);
    for (const key of claimant.balancedPorts) {
      yield* this.#balancedPorts.of(key);
      yield* this.#otherPorts.of(key);
    }
    for (const key of claimant.otherPorts) yield* this.#otherPorts.of(key);
  }
}

function claimantOf(key: string, service: ServiceRecord): Claimant {
  const families = familiesOf(service);
  const served = (cidr: Cidr) => families.includes(cidr.family);
  const clusterIPs = families.map((family) => addressKey(wordsOfPair(service, family)!));
  const balanced = service.loadBalancerIPs.filter(served).map(wordsOf);
  const external = service.externalIPs.filter(served).map(wordsOf);
  const portsOf = (addresses: typeof balanced) =>
    addresses.flatMap((words) =>
      service.ports.map(({ port, protocol }) => portKey(words, port, protocol)),
    );
  const nodePorts = service.ports
    .filter(({ nodePort }) => nodePort !== 0)
    .flatMap(({ nodePort, protocol }) =>
      families.map((family) => nodePortKey(family, nodePort, protocol)),
    );
  return {
    key,
    service,
    clusterIPs,
    loadBalancerIPs: balanced.map(addressKey),
    externalIPs: external.map(addressKey),
    balancedPorts: portsOf(balanced),
    otherPorts: [...portsOf(external), ...nodePorts],
  };
}

function oldest(claimants: Iterable<Claimant>): Claimant | undefined {
  let first: Claimant | undefined;
  for (const claimant of claimants) {
    if (first === undefined || isOlder(claimant, first)) first = claimant;
  }
  return first;
}

function isOlder(left: Claimant, right: Claimant): boolean {
  const difference = left.service.createdAtMs - right.service.createdAtMs;
  return difference < 0 || (difference === 0 && left.key < right.key);
}
