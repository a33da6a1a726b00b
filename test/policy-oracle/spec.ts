/** The truth tables of `specs/`: how a step changes a cluster, and which pairs it must cut off. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import {
  type Address,
  bitsOf,
  blockContains,
  type Family,
  formatAddress,
  parseBlock,
} from "./address.js";
import type { NetworkPolicy, Protocol } from "./manifests.js";

export interface Spec {
  readonly id: string;
  readonly name: string;
  /** By namespace and pod: `xa` is pod `a` of namespace `x`. */
  readonly pods: readonly string[];
  readonly steps: readonly SpecStep[];
}

type LabelChanges = Readonly<Record<string, Readonly<Record<string, string | null>>>>;

/** What changes, in this order, before the probes. Null takes a label off. */
export interface SpecStep {
  readonly createNamespaces?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly createPods?: readonly string[];
  readonly labelNamespaces?: LabelChanges;
  readonly labelPods?: LabelChanges;
  readonly deletePods?: readonly string[];
  /** With their pods. */
  readonly deleteNamespaces?: readonly string[];
  /** `namespace/name`. */
  readonly deletePolicies?: readonly string[];
  readonly apply?: readonly NetworkPolicy[];
  readonly expect: readonly Expectation[];
}

export interface Expectation {
  /** `TCP 80`: tried between all pods. */
  readonly probes: readonly string[];
  /** `only xb,xc -> xa`: these fail, all others work. */
  readonly denied: readonly string[];
}

export const SPEC_PORTS = [80, 81] as const;
export const SPEC_PROTOCOLS: readonly Protocol[] = ["TCP", "UDP", "SCTP"];

export type SpecFile = "e2e" | "cyclonus";

export function loadSpecs(file: SpecFile): readonly Spec[] {
  // The sources are two folders above the compiled file's.
  const folder = new URL("../../../test/policy-oracle/specs/", import.meta.url);
  return parse(readFileSync(fileURLToPath(new URL(`${file}.yaml`, folder)), "utf8")) as Spec[];
}

/** The namespace and the name of `y-2a`. */
export function splitPod(pod: string): readonly [namespace: string, name: string] {
  return [pod.slice(0, -1), pod.slice(-1)];
}

export function parseProbe(probe: string): readonly [protocol: Protocol, port: number] {
  const [protocol = "", port = ""] = probe.split(" ");
  return [protocol as Protocol, Number(port)];
}

/** Address of each pod, in the family under test. */
export type PodAddresses = ReadonlyMap<string, Address>;

/** `zc/24` as the block around the pod's address; as many host bits are free in either family. */
export function resolveBlock(text: string, addresses: PodAddresses, family: Family): string {
  const [name = "", length = ""] = text.split("/");
  const address =
    name === "any" || name === "none" ? { family, value: 0n } : addressOf(name, addresses);
  const hostBits = 32 - Number(length);
  const prefixLength = name === "any" ? 0 : bitsOf(family) - hostBits;
  const value =
    (address.value >> BigInt(bitsOf(family) - prefixLength)) <<
    BigInt(bitsOf(family) - prefixLength);
  return `${formatAddress({ family, value })}/${prefixLength}`;
}

/** The policy as the cluster gets it. */
export function resolvePolicy(
  policy: NetworkPolicy,
  addresses: PodAddresses,
  family: Family,
): NetworkPolicy {
  const resolve = (text: string) => resolveBlock(text, addresses, family);
  return JSON.parse(
    JSON.stringify(policy, (key, value: unknown) => {
      if (key === "cidr") {
        return resolve(value as string);
      }
      return key === "except" ? (value as string[]).map(resolve) : value;
    }),
  ) as NetworkPolicy;
}

/** Whether a line of `denied` names the pair; a pod and itself are never a pair. */
export function isDenied(
  lines: readonly string[],
  source: string,
  destination: string,
  addresses: PodAddresses,
): boolean {
  return lines.some((line) => {
    const [from = "", to = ""] = line.split(" -> ");
    return isSide(from, source, addresses) && isSide(to, destination, addresses);
  });
}

function isSide(side: string, pod: string, addresses: PodAddresses): boolean {
  const names = side.replace("only ", "").split(",");
  const isNamed = names.some((name) => isPattern(name, pod, addresses));
  return side.startsWith("only ") ? !isNamed : isNamed;
}

function isPattern(pattern: string, pod: string, addresses: PodAddresses): boolean {
  if (pattern.includes("/")) {
    const address = addressOf(pod, addresses);
    // The names of namespaces have hyphens too, but no block of a spec lies in such a one.
    const [block = "", without] = pattern.split("-");
    const isIn = (text: string) =>
      blockContains(parseBlock(resolveBlock(text, addresses, address.family)), address);
    return isIn(block) && (without === undefined || !isIn(without));
  }
  return pattern === "*" || pattern === pod || pattern === splitPod(pod)[0];
}

function addressOf(pod: string, addresses: PodAddresses): Address {
  const address = addresses.get(pod);
  if (address === undefined) {
    throw new Error(`the spec has no pod ${pod}`);
  }
  return address;
}
