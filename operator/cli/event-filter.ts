import type { EventState } from "../api/engine.js";
import { ANY_CIDR, cidrContains, isFault, readCidr } from "../model/cidr.js";
import type { Cidr } from "../model/records.js";
import { globMatches } from "../compile/selectors.js";
import { usageError } from "./errors.js";
import type { DecodedPacket } from "./packet-decode.js";
import { protocolByName } from "./protocol-names.js";

/** Options of `sluicectl events`, as they were typed. Entries of one option are alternatives. */
export interface EventFilterOptions {
  readonly policy?: readonly string[];
  readonly rule?: readonly string[];
  readonly effect?: readonly string[];
  readonly interface?: readonly string[];
  readonly pod?: readonly string[];
  readonly source?: readonly string[];
  readonly destination?: readonly string[];
  readonly protocol?: readonly string[];
  readonly port?: readonly string[];
  readonly audit?: boolean;
}

export type EventFilter = (event: EventState, packet: DecodedPacket) => boolean;

/**
 * A filter that lets an event through when every option given has an entry that fits. Names are
 * globs. `port` is either port.
 *
 * @throws SluiceError SLUICE_USAGE
 */
export function createEventFilter(options: EventFilterOptions): EventFilter {
  const tests: EventFilter[] = [];
  const byName = (globs: readonly string[] | undefined, name: (event: EventState) => string) => {
    if (globs === undefined) return;
    tests.push((event) => globs.some((glob) => globMatches(glob, name(event))));
  };
  byName(options.policy, ({ policy }) => policy);
  byName(options.rule, ({ rule }) => rule);
  byName(options.interface, (event) => event.interface);
  byName(options.pod, ({ pod }) => pod ?? "");
  const effects = options.effect?.map((effect) => effect.toLowerCase());
  byName(effects, ({ effect }) => effect.toLowerCase());
  if (options.audit !== undefined) {
    const wanted = options.audit;
    tests.push(({ audit }) => audit === wanted);
  }
  const byAddress = (
    texts: readonly string[] | undefined,
    address: (packet: DecodedPacket) => string | undefined,
  ) => {
    const cidrs = texts?.map(readAddresses);
    if (cidrs === undefined) return;
    tests.push((_, packet) => {
      const given = address(packet);
      return given !== undefined && isInside(given, cidrs);
    });
  };
  byAddress(options.source, ({ source }) => source);
  byAddress(options.destination, ({ destination }) => destination);
  const protocols = options.protocol?.map(readProtocol);
  if (protocols !== undefined) {
    tests.push((_, { protocol }) => protocol !== undefined && protocols.includes(protocol));
  }
  const ports = options.port?.map(readPort);
  if (ports !== undefined) {
    tests.push((_, { sourcePort, destinationPort }) =>
      ports.some((port) => port === sourcePort || port === destinationPort),
    );
  }
  return (event, packet) => tests.every((test) => test(event, packet));
}

function isInside(address: string, cidrs: readonly Cidr[]): boolean {
  const exact = readCidr(address, ANY_CIDR);
  // An IPv4-mapped address can be on the wire, but is none that a filter may name.
  return !isFault(exact) && cidrs.some((cidr) => cidrContains(cidr, exact));
}

function readAddresses(text: string): Cidr {
  const cidr = readCidr(text, ANY_CIDR);
  if (isFault(cidr)) throw usageError(cidr.message, cidr.remedy);
  return cidr;
}

function readProtocol(word: string): number {
  const number = protocolByName(word);
  if (number !== undefined) return number;
  throw usageError(`${word} is no protocol`, "Write tcp, udp, icmp, … or a number from 0 to 255");
}

function readPort(word: string): number {
  if (/^\d{1,5}$/.test(word) && Number(word) <= 65_535) return Number(word);
  throw usageError(`${word} is no port`, "Write a number from 0 to 65535");
}
