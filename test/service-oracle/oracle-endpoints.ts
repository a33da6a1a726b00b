/** Endpoints of a Service's port, and which of them serve: services.md §1.1 and §1.3. */

import {
  type Address,
  type Family,
  formatAddress,
  parseAddress,
} from "../policy-oracle/address.js";
import type {
  EndpointManifest,
  Policy,
  ServiceManifest,
  ServicePortManifest,
  World,
} from "./world.js";

interface Endpoint {
  readonly address: Address;
  /** Of the address, as its slice has it. */
  readonly text: string;
  readonly port: number;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly local: boolean;
  readonly zones: readonly string[];
  readonly nodes: readonly string[];
}

export interface Served {
  /** In order of their text. */
  readonly backends: readonly Endpoint[];
  /** Any endpoint could be used at all. */
  readonly hasAny: boolean;
}

export function serve(
  world: World,
  service: ServiceManifest,
  port: ServicePortManifest,
  family: Family,
  list: Policy,
): Served {
  const all = endpointsOf(world, service, port, family);
  const backends = list === "Local" ? localList(all) : clusterList(all, world);
  const hasAny = all.some(({ ready, serving, terminating }) => ready || (serving && terminating));
  return { backends: backends.toSorted(byText), hasAny };
}

export function readyBackendsHere(world: World, service: ServiceManifest, family: Family): number {
  const here = (service.spec.ports ?? [])
    .flatMap((port) => endpointsOf(world, service, port, family))
    .filter(({ local, ready }) => local && ready);
  return new Set(here.map(({ address }) => formatAddress(address))).size;
}

function endpointsOf(
  { node, slices }: World,
  { metadata }: ServiceManifest,
  port: ServicePortManifest,
  family: Family,
): readonly Endpoint[] {
  const own = slices
    .filter(
      (slice) =>
        slice.metadata.namespace === metadata.namespace &&
        slice.metadata.labels?.["kubernetes.io/service-name"] === metadata.name &&
        !("service.kubernetes.io/service-proxy-name" in slice.metadata.labels) &&
        !("service.kubernetes.io/headless" in slice.metadata.labels) &&
        slice.addressType === `IPv${family}`,
    )
    .sort((one, other) => (one.metadata.name < other.metadata.name ? -1 : 1));
  const found: Endpoint[] = [];
  for (const { ports = [], endpoints = [] } of own) {
    // The API server fills in what is missing, so no answer is right without.
    if (ports.some(({ name }) => name === undefined)) throw new Error("a port without name");
    const joined = ports.find(
      (one) =>
        one.name === (port.name ?? "") &&
        (one.protocol ?? "TCP") === (port.protocol ?? "TCP") &&
        (one.port ?? 0) !== 0,
    );
    if (joined === undefined) continue;
    for (const endpoint of endpoints) {
      const one = endpointOf(endpoint, joined.port!, node.name);
      if (one.address.family !== family) continue;
      const at = found.findIndex((other) => textOf(other) === textOf(one));
      if (at < 0) found.push(one);
      else if (one.local && !found[at]!.local) found[at] = one;
    }
  }
  return found;
}

function endpointOf(
  { addresses, conditions = {}, nodeName, hints = {} }: EndpointManifest,
  port: number,
  node: string,
): Endpoint {
  const names = (list: readonly { readonly name: string }[] = []) => list.map(({ name }) => name);
  return {
    address: parseAddress(addresses[0]!),
    text: addresses[0]!,
    port,
    ready: conditions.ready ?? true,
    serving: conditions.serving ?? true,
    terminating: conditions.terminating ?? false,
    local: nodeName === node,
    zones: names(hints.forZones),
    nodes: names(hints.forNodes),
  };
}

function localList(all: readonly Endpoint[]): readonly Endpoint[] {
  const here = all.filter(({ local }) => local);
  const ready = here.filter((one) => one.ready);
  return ready.length > 0
    ? ready
    : here.filter(({ serving, terminating }) => serving && terminating);
}

function clusterList(all: readonly Endpoint[], { node }: World): readonly Endpoint[] {
  const ready = all.filter((one) => one.ready);
  if (ready.length === 0) return all.filter(({ serving, terminating }) => serving && terminating);
  const sameNode = ready.filter(({ nodes }) => nodes.includes(node.name));
  if (sameNode.length > 0 && ready.every(({ nodes }) => nodes.length > 0)) return sameNode;
  if (node.zone === undefined || node.zone === "") return ready;
  const zone = node.zone;
  const sameZone = ready.filter(({ zones }) => zones.includes(zone));
  if (sameZone.length > 0 && ready.every(({ zones }) => zones.length > 0)) return sameZone;
  return ready;
}

function textOf({ address, port }: Endpoint): string {
  return `${formatAddress(address)}:${port}`;
}

function byText(one: Endpoint, other: Endpoint): number {
  return textOf(one) < textOf(other) ? -1 : 1;
}
