import { CidrScanner } from "./cidr-scan.js";
import {
  type ClusterProjection,
  isExcluded,
  NONE,
  readNames,
  readTransport,
  shown,
} from "./cluster-projection.js";
import { parseDateTime } from "./date-time.js";
import type { Interner } from "./interner.js";
import { JsonReader } from "./json-reader.js";
import { scanLooseAddress } from "./loose-cidr.js";
import type { Draft } from "./projection.js";
import {
  type EndpointPort,
  type EndpointSliceRecord,
  READY,
  SERVING,
  TERMINATING,
  type WordColumn,
} from "./records-service.js";

const SERVICE_LABEL = "kubernetes.io/service-name";
const TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time";
const ADDRESS_TYPES = ["IPv4", "IPv6", "FQDN"] as const;
/** From here on a typed array is the smaller one: measured by `npm run bench -- --only projection`. */
const LONG_COLUMN = 64;

const scanner = new CidrScanner();

/** Reads an EndpointSlice (v1), by reference/services.md §1.1 and §1.3; worth something without faults only. */
export function projectEndpointSlice(
  manifest: unknown,
  { findings, interner }: ClusterProjection,
): Draft<EndpointSliceRecord> {
  const slice = JsonReader.root(manifest, findings);
  const metadata = slice.object("metadata");
  const { namespace, name } = readNames(metadata, interner);
  const addressType = slice.choice("addressType", ADDRESS_TYPES);
  if (!slice.has("addressType")) {
    slice.fault("SLUICE_SCHEMA", ["addressType"], "is missing", "Write IPv4 or IPv6");
  }
  const family = addressType === "IPv6" ? 6 : 4;
  const columns = new Columns(family, interner);
  const endpoints = slice.objects("endpoints");
  if (addressType !== "FQDN") for (const endpoint of endpoints) columns.add(endpoint);
  return {
    kind: "EndpointSlice",
    namespace,
    name,
    serviceName: metadata.object("labels").text(SERVICE_LABEL) || undefined,
    isExcluded: isExcluded(metadata),
    family,
    ports: interner.list(slice.objects("ports").flatMap(readPort)),
    ...columns.finish(),
    triggeredAtMs: readTrigger(metadata.object("annotations")),
  };
}

/** A port without number means nothing here, where it does not mean all ports. */
function readPort(port: JsonReader): readonly EndpointPort[] {
  const number = port.integer("port", 0, 65_535) ?? 0;
  const protocol = readTransport(port);
  // The API server fills a missing name in with the empty one; manifests leave it out.
  const name = port.text("name") ?? "";
  return number === 0 ? NONE : [{ name, protocol, port: number }];
}

function readTrigger(annotations: JsonReader): number | undefined {
  const text = annotations.text(TRIGGER_TIME);
  return text === undefined ? undefined : parseDateTime(text);
}

class Columns {
  readonly #family: 4 | 6;
  readonly #interner: Interner;
  readonly #addresses: number[] = [];
  readonly #conditions: number[] = [];
  readonly #nodeNames: (string | undefined)[] = [];
  readonly #zoneHints: (readonly string[])[] = [];
  readonly #nodeHints: (readonly string[])[] = [];
  #hasNodes = false;
  #hasZoneHints = false;
  #hasNodeHints = false;

  constructor(family: 4 | 6, interner: Interner) {
    this.#family = family;
    this.#interner = interner;
  }

  add(endpoint: JsonReader): void {
    const conditions = readConditions(endpoint.object("conditions"));
    const nodeName = endpoint.text("nodeName") || undefined;
    const hints = endpoint.object("hints");
    const zoneHints = this.#hints(hints, "forZones");
    const nodeHints = this.#hints(hints, "forNodes");
    if (!this.#addAddress(endpoint)) return;
    this.#conditions.push(conditions);
    this.#nodeNames.push(nodeName && this.#interner.text(nodeName));
    this.#zoneHints.push(zoneHints);
    this.#nodeHints.push(nodeHints);
    this.#hasNodes ||= nodeName !== undefined;
    this.#hasZoneHints ||= zoneHints.length > 0;
    this.#hasNodeHints ||= nodeHints.length > 0;
  }

  finish() {
    // Copies, since a list that grew keeps room for more.
    return {
      addresses: columnOf(this.#addresses),
      conditions: this.#interner.list(this.#conditions),
      nodeNames: this.#hasNodes ? this.#nodeNames.slice() : NONE,
      zoneHints: this.#hasZoneHints ? this.#zoneHints.slice() : undefined,
      nodeHints: this.#hasNodeHints ? this.#nodeHints.slice() : undefined,
    };
  }

  /** Endpoints have one address: more are not looked at (services.md §1.1). */
  #addAddress(endpoint: JsonReader): boolean {
    const text = endpoint.texts("addresses")[0];
    if (text === undefined) {
      endpoint.fault("SLUICE_SCHEMA", ["addresses"], "has no address", "Write one address");
      return false;
    }
    if (scanLooseAddress(scanner, text) !== this.#family) {
      const message = `${shown(text)} is no address of IPv${this.#family}, and is left out`;
      const remedy = "Correct it, or put it into a slice of the other addressType";
      endpoint.warning("SLUICE_CIDR", ["addresses", 0], message, remedy);
      return false;
    }
    if (this.#family === 4) {
      this.#addresses.push(scanner.address);
    } else {
      const { groups } = scanner;
      for (let at = 0; at < 8; at += 2) {
        this.#addresses.push(((groups[at]! << 16) | groups[at + 1]!) >>> 0);
      }
    }
    return true;
  }

  #hints(hints: JsonReader, name: string): readonly string[] {
    const entries = hints.objects(name);
    if (entries.length === 0) return NONE;
    return this.#interner.list(entries.map((entry) => entry.requiredText("name")));
  }
}

/** What is missing is unknown: ready and serving, and not terminating. */
function readConditions(conditions: JsonReader): number {
  return (
    ((conditions.flag("ready") ?? true) ? READY : 0) |
    ((conditions.flag("serving") ?? true) ? SERVING : 0) |
    ((conditions.flag("terminating") ?? false) ? TERMINATING : 0)
  );
}

function columnOf(words: readonly number[]): WordColumn {
  if (words.length === 0) return NONE;
  return words.length < LONG_COLUMN ? words.slice() : Uint32Array.from(words);
}
