import type { Place } from "../../model/pod-facts.js";
import { usageError } from "../errors.js";
import type { PacketDescription } from "../packet-frame.js";
import { type PacketOptions, readPacketWords } from "../packet-words.js";
import type { EndWord, PodWords } from "./end-words.js";

/** An end of which it is known what it stands for. */
export interface FoundEnd {
  readonly end: EndWord;
  readonly place: Place;
}

export interface PodPacketOptions extends PacketOptions {
  readonly ipv4?: boolean | undefined;
  readonly ipv6?: boolean | undefined;
  /** TCP: part of a connection rather than its first packet. */
  readonly isLater?: boolean;
}

export interface PodPacket {
  readonly source: string;
  readonly destination: string;
  readonly destinationPort?: number;
  /** `tcp`, or a number. */
  readonly protocol: string;
  readonly description: PacketDescription;
}

/** @throws SluiceError SLUICE_USAGE that says what does not fit together */
export function describePodPacket(
  { protocol: typed }: PodWords,
  source: FoundEnd,
  destination: FoundEnd,
  options: PodPacketOptions,
): PodPacket {
  const family = commonFamily(source, destination, options);
  const from = addressOf(source, family)!;
  const to = addressOf(destination, family)!;
  if (source.end.port !== undefined && !/^\d+$/.test(source.end.port)) {
    throw usageError(`the port of the source, ${source.end.port}, is no number`);
  }
  const { protocol, port } = readPort(typed, destination);
  const isNumber = /^\d+$/.test(protocol);
  const description = readPacketWords(
    [isNumber ? "ip" : protocol, withPort(from, source.end.port), withPort(to, port)],
    {
      ...options,
      protocol: isNumber ? protocol : undefined,
      flags: options.flags ?? (options.isLater === true && protocol === "tcp" ? "ACK" : undefined),
    },
  );
  return {
    source: from,
    destination: to,
    ...(port !== undefined && { destinationPort: Number(port) }),
    protocol: protocol === "icmp" && family === 6 ? "icmpv6" : protocol,
    description,
  };
}

function commonFamily(
  source: FoundEnd,
  destination: FoundEnd,
  { ipv4 = false, ipv6 = false }: PodPacketOptions,
): 4 | 6 {
  if (ipv4 && ipv6) throw usageError("-4 and -6 exclude each other");
  for (const { end, place } of [source, destination]) {
    if (place.kind === "pod" && addressesOf({ end, place }).length === 0) {
      throw usageError(`the pod ${nameOf(end)} has no address`, "Wait until it runs");
    }
  }
  const wanted: readonly (4 | 6)[] = ipv4 ? [4] : ipv6 ? [6] : [4, 6];
  const found = wanted.find((family) =>
    [source, destination].every((end) => addressOf(end, family) !== undefined),
  );
  if (found !== undefined) return found;
  const without = [source, destination].find((end) => addressOf(end, wanted[0]!) === undefined);
  throw usageError(
    wanted.length === 1 && without !== undefined
      ? `${nameOf(without.end)} has no address of IPv${wanted[0]}`
      : `${nameOf(source.end)} and ${nameOf(destination.end)} have no IP family in common`,
  );
}

/** Without its port. */
function nameOf(end: EndWord): string {
  return end.kind === "pod" ? end.key : end.address;
}

function addressOf(end: FoundEnd, family: 4 | 6): string | undefined {
  return addressesOf(end).find((address) => address.includes(":") === (family === 6));
}

function addressesOf({ end, place }: FoundEnd): readonly string[] {
  if (end.kind === "address") return [end.address];
  return place.kind === "pod" ? place.pod.addresses : [];
}

function withPort(address: string, port: string | undefined): string {
  if (port === undefined) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

const ported: readonly string[] = ["tcp", "udp", "sctp"];

/** The port as a number. Where nothing else says it, the protocol is that of a named port, else TCP. */
function readPort(
  typed: string | undefined,
  { end, place }: FoundEnd,
): { readonly protocol: string; readonly port: string | undefined } {
  const { port, word } = end;
  const named = place.kind === "pod" ? place.pod.namedPorts : [];
  if (port === undefined) {
    if (typed !== undefined && !ported.includes(typed)) return { protocol: typed, port };
    const names = [...new Set(named.map(({ name }) => name))];
    throw usageError(
      `${word} needs a port${typed === undefined ? "" : ` with ${typed}`}`,
      `Write ${word}:PORT${names.length > 0 ? ` (it has ${names.join(", ")})` : ""}, or --protocol icmp for a ping`,
    );
  }
  if (/^\d+$/.test(port)) return { protocol: typed ?? "tcp", port };
  const matching = named.filter(
    ({ name, protocol }) => name === port && (typed === undefined || protocol === typed),
  );
  const [first] = matching;
  if (first === undefined) {
    const names = named.map(
      ({ name, protocol, port: number }) => `${name} (${protocol} ${number})`,
    );
    throw usageError(
      place.kind === "pod"
        ? `${nameOf(end)} has no ${typed === undefined ? "" : `${typed} `}port named ${port}`
        : `the port of ${word} is no number`,
      names.length > 0 ? `Its ports: ${names.join(", ")}` : "Write the port as a number",
    );
  }
  if (matching.some(({ protocol }) => protocol !== first.protocol)) {
    throw usageError(`${port} is the name of ports of several protocols`, "Give --protocol");
  }
  return { protocol: first.protocol, port: String(first.port) };
}
