import { formatCidr } from "./cidr-format.js";
import type { Interner } from "./interner.js";
import type { JsonReader } from "./json-reader.js";
import { readLooseAddress, readLooseCidr } from "./loose-cidr.js";
import type { Projection } from "./projection.js";
import type { Cidr } from "./records.js";
import type { AddressPair, Labels, Transport } from "./records-pod.js";

/** What the projection of an object of the cluster reads and writes besides the object. */
export interface ClusterProjection extends Pick<Projection, "findings"> {
  /** Gives what many records have in common; the record is the same with any. */
  readonly interner: Interner;
}

export const NONE: readonly never[] = Object.freeze([]);

/** Keys of Services and their slices that are not to be served, with any value (services.md §1.1). */
const EXCLUDING_LABELS = [
  "service.kubernetes.io/service-proxy-name",
  "service.kubernetes.io/headless",
];

const PROTOCOLS = { TCP: "tcp", UDP: "udp", SCTP: "sctp" } as const satisfies Record<
  string,
  Transport
>;
const PROTOCOL_NAMES = Object.keys(PROTOCOLS) as readonly (keyof typeof PROTOCOLS)[];

/** Name and namespace; the namespace is left out of manifests for `default`. */
export function readNames(metadata: JsonReader, interner: Interner) {
  return {
    namespace: interner.text(metadata.text("namespace") || "default"),
    name: metadata.requiredText("name"),
  };
}

/** The field `labels`. */
export function readLabels(metadata: JsonReader, interner: Interner): Labels {
  return interner.labels(metadata.object("labels").textFields());
}

export function isExcluded(metadata: JsonReader): boolean {
  const labels = metadata.object("labels");
  return EXCLUDING_LABELS.some((key) => labels.has(key));
}

/** Those annotations that are read: of `sluice.dev/` and those named. */
export function readAnnotations(
  metadata: JsonReader,
  interner: Interner,
  named: readonly string[] = [],
): Labels {
  const annotations = metadata.object("annotations");
  let read: Record<string, string> | undefined;
  for (const key of annotations.names()) {
    if (!key.startsWith("sluice.dev/") && !named.includes(key)) continue;
    const value = annotations.text(key);
    if (value !== undefined) read = { ...read, [key]: value };
  }
  return interner.labels(read ?? {});
}

/** The field `protocol`: TCP where it is missing (N25). */
export function readTransport(port: JsonReader): Transport {
  return PROTOCOLS[port.choice("protocol", PROTOCOL_NAMES) ?? "TCP"];
}

/**
 * Sorts the addresses of one object by family.
 *
 * @param texts each with the path from `reader` on
 */
export function pairAddresses(
  texts: readonly (readonly [text: string, steps: readonly (string | number)[]])[],
  reader: JsonReader,
): AddressPair {
  let ipv4: AddressPair["ipv4"];
  let ipv6: AddressPair["ipv6"];
  for (const [text, steps] of texts) {
    const address = readLooseAddress(text);
    if (address === undefined) {
      reader.fault("SLUICE_CIDR", steps, `${shown(text)} is no IP address`, "Write an address");
    } else if ((address.family === 4 ? ipv4 : ipv6) !== undefined) {
      const message = `${text} is a second address of IPv${address.family}`;
      reader.fault("SLUICE_DUPLICATE_ENTRY", steps, message, "Leave one address of each family");
    } else if (address.family === 4) {
      ipv4 = address.address;
    } else {
      ipv6 = { high: address.high, low: address.low };
    }
  }
  return { ipv4, ipv6 };
}

/** A list of blocks, each once; blanks around them count for nothing. */
export function readCidrs(reader: JsonReader, name: string): readonly Cidr[] {
  const texts = reader.texts(name);
  if (texts.length === 0) return NONE;
  const cidrs = new Map<string, Cidr>();
  for (const [index, text] of texts.entries()) {
    const cidr = readLooseCidr(text.trim());
    if (cidr !== undefined) cidrs.set(formatCidr(cidr), cidr);
    else reader.fault("SLUICE_CIDR", [name, index], `${shown(text)} is no CIDR`);
  }
  return [...cidrs.values()];
}

/** A text cut to a length that fits a message. */
export function shown(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}
