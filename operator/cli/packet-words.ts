import ipaddr from "ipaddr.js";
import { usageError } from "./errors.js";
import type { PacketDescription, Transport } from "./packet-frame.js";
import { tcpFlagNames } from "./protocol-names.js";

/** Options of `sluicectl trace` beside its words, as they were typed. */
export interface PacketOptions {
  /** `SYN,ACK` */
  readonly flags?: string | undefined;
  readonly type?: string | undefined;
  readonly code?: string | undefined;
  readonly protocol?: string | undefined;
  readonly vlan?: readonly string[] | undefined;
  readonly fragment?: string | undefined;
  readonly ipOptions?: boolean | undefined;
  readonly payload?: string | undefined;
}

const kinds = ["tcp", "udp", "sctp", "icmp", "icmpv6", "ip"] as const;
type Kind = (typeof kinds)[number];

/** First port of the range that Linux clients use. */
const clientPort = 32_768;
const mostVlans = 8;
const mostPayloadBytes = 9000;

/**
 * Reads a packet described in words: `tcp 10.0.0.1:1234 10.77.0.11:80`, `icmp A B`, `ip A B` with
 * `--protocol 47`. Ports follow the address after a colon; IPv6 addresses with a port stand in
 * brackets.
 *
 * @throws SluiceError SLUICE_USAGE that says which word is wrong
 */
export function readPacketWords(
  words: readonly string[],
  options: PacketOptions,
): PacketDescription {
  const [first, ...others] = words;
  const isKind = (kinds as readonly (string | undefined)[]).includes(first?.toLowerCase());
  const kind = isKind ? (first!.toLowerCase() as Kind) : "ip";
  const [sourceWord, destinationWord, surplus] = isKind ? others : words;
  if (sourceWord === undefined || destinationWord === undefined) {
    throw usageError(
      words.length === 0
        ? "no packet is described"
        : `${quote(words)} is no packet: it needs a protocol, a source and a destination`,
      "Write for example: sluicectl trace tcp 10.0.0.1:1234 10.77.0.11:80 --flags SYN",
    );
  }
  if (surplus !== undefined) throw usageError(`the word ${surplus} is one too many`);
  if (!isKind && options.protocol === undefined) {
    throw usageError(
      `${first} is no protocol`,
      `Use ${kinds.join(", ")}, or give --protocol NUMBER`,
    );
  }
  const source = readEndpoint(sourceWord, "source");
  const destination = readEndpoint(destinationWord, "destination");
  if (source.address.length !== destination.address.length) {
    throw usageError(`${sourceWord} and ${destinationWord} are of two IP families`);
  }
  const fragment = readFragment(options.fragment);
  const payloadBytes = optionalNumber(options.payload, "--payload", 0, mostPayloadBytes);
  return {
    vlans: readVlans(options.vlan ?? []),
    source: source.address,
    destination: destination.address,
    transport: readTransport(kind, source, destination, options),
    fragment,
    ipOptions: options.ipOptions ?? false,
    payloadBytes: payloadBytes ?? (kind === "tcp" && fragment === "none" ? 0 : 32),
  };
}

interface Endpoint {
  readonly word: string;
  readonly address: Uint8Array;
  readonly port: number | undefined;
}

function readEndpoint(word: string, role: string): Endpoint {
  const match = /^(?:\[([^\]]*)\](?::(.*))?|([^:]*)(?::([^:]*))?)$/.exec(word);
  const addressText = match?.[1] ?? match?.[3] ?? word;
  const portText = match?.[2] ?? match?.[4];
  const address = readAddress(addressText);
  if (address === undefined) {
    throw usageError(
      `the ${role} ${word} is no IP address`,
      "Write 192.0.2.1, 192.0.2.1:80, 2001:db8::1 or [2001:db8::1]:80",
    );
  }
  const port = optionalNumber(portText, `the port of the ${role}`, 0, 65_535);
  return { word, address, port };
}

function readAddress(text: string): Uint8Array | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) {
    return Uint8Array.from(ipaddr.IPv4.parse(text).toByteArray());
  }
  if (!text.includes(":") || text.includes("%") || !ipaddr.IPv6.isValid(text)) return undefined;
  return Uint8Array.from(ipaddr.IPv6.parse(text).toByteArray());
}

function readTransport(
  kind: Kind,
  source: Endpoint,
  destination: Endpoint,
  options: PacketOptions,
): Transport {
  const has = {
    tcp: ["flags"],
    icmp: ["type", "code"],
    icmpv6: ["type", "code"],
    ip: ["protocol"],
  };
  const own: readonly string[] = kind in has ? has[kind as keyof typeof has] : [];
  for (const name of ["flags", "type", "code", "protocol"] as const) {
    if (options[name] !== undefined && !own.includes(name)) {
      throw usageError(`--${name} does not go with ${kind}`);
    }
  }
  if (kind === "tcp" || kind === "udp" || kind === "sctp") {
    if (destination.port === undefined) {
      throw usageError(
        `${kind} needs a destination port`,
        `Write ${destination.address.length === 16 ? `[${destination.word}]` : destination.word}:PORT`,
      );
    }
    const ports = {
      sourcePort: source.port ?? clientPort,
      destinationPort: destination.port,
    };
    if (kind !== "tcp") return { kind, ...ports };
    return { kind, ...ports, flags: readFlags(options.flags ?? "SYN") };
  }
  for (const endpoint of [source, destination]) {
    if (endpoint.port !== undefined) throw usageError(`${endpoint.word}: ${kind} has no ports`);
  }
  if (kind === "ip") {
    const number = optionalNumber(options.protocol, "--protocol", 0, 255);
    if (number === undefined) throw usageError("ip needs --protocol NUMBER");
    return { kind: "protocol", number };
  }
  // Each family has its own ICMP; whoever writes icmp and IPv6 addresses means the other one.
  const isIpv6 = source.address.length === 16;
  if (kind === "icmpv6" && !isIpv6) throw usageError("icmpv6 goes with IPv6 addresses");
  const echoRequest = isIpv6 ? 128 : 8;
  return {
    kind: isIpv6 ? "icmpv6" : "icmp",
    type: optionalNumber(options.type, "--type", 0, 255) ?? echoRequest,
    code: optionalNumber(options.code, "--code", 0, 255) ?? 0,
  };
}

function readFlags(text: string): number {
  if (text.toLowerCase() === "none") return 0;
  let flags = 0;
  for (const word of text.split(/[,+]/)) {
    const bit = tcpFlagNames.indexOf(word.trim().toUpperCase());
    if (bit < 0) {
      throw usageError(`${word} is no TCP flag`, `Use ${tcpFlagNames.join(", ")}, or none`);
    }
    flags |= 1 << bit;
  }
  return flags;
}

function readVlans(words: readonly string[]): readonly number[] {
  if (words.length > mostVlans) throw usageError(`more than ${mostVlans} VLAN tags`);
  return words.map((word) => optionalNumber(word, "--vlan", 0, 4095) ?? 0);
}

function readFragment(word: string | undefined): PacketDescription["fragment"] {
  if (word === undefined) return "none";
  if (word !== "first" && word !== "later") throw usageError("--fragment is first or later");
  return word;
}

function optionalNumber(
  text: string | undefined,
  what: string,
  least: number,
  most: number,
): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) {
    throw usageError(
      `${what} is ${text === "" ? "empty" : text}`,
      `Write a number from ${least} to ${most}`,
    );
  }
  return value;
}

function quote(words: readonly string[]): string {
  return `"${words.join(" ")}"`;
}
