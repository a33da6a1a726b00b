import ipaddr from "ipaddr.js";
import { formatGroups } from "./cidr-format.js";
import { type CidrForm, CidrScanner } from "./cidr-scan.js";

/** Why a text is no CIDR that may stand at its place, and what to write instead. */
export interface CidrFault {
  readonly message: string;
  readonly remedy: string;
}

const LONGEST_QUOTE = 64;
const ADDRESS_BITS = { ipv4: 32, ipv6: 128 } as const;

/**
 * Explains a text that the scanner refused. Slow: only for texts that are wrong.
 *
 * @returns a fault in any case, a vague one when the text means nothing known
 */
export function explainCidr(text: string, form: CidrForm): CidrFault {
  const trimmed = text.trim();
  const quoted = quote(text);
  if (trimmed === "") {
    return fault("is empty", `Write ${example(form)}`);
  }
  if (trimmed !== text) {
    return fault(`${quoted} begins or ends with blanks`, offer(trimmed, form));
  }
  const slash = text.indexOf("/");
  const addressText = slash < 0 ? text : text.slice(0, slash);
  const lengthText = slash < 0 ? undefined : text.slice(slash + 1);

  const address = readLoosely(addressText);
  if (address === undefined) {
    return explainAddress(addressText, quoted, form);
  }
  const bits = ADDRESS_BITS[address.kind()];
  if (lengthText === undefined && !form.bareAddress) {
    return fault(
      `${quoted} is an address without a prefix length`,
      `Write ${canonical(address, bits)} for this one address`,
    );
  }
  const length = readLength(lengthText, bits);
  if (typeof length !== "number") {
    return fault(`${quoted} ${length.message}`, length.remedy);
  }
  if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress()) {
    return fault(
      `${quoted} is an IPv4 address in IPv6 form`,
      length > 96
        ? `Write ${canonical(address.toIPv4Address(), length - 96)}`
        : "Write the IPv4 block itself",
    );
  }
  const network = mask(address, length);
  if (network.toString() !== address.toString()) {
    return fault(
      `${quoted} has host bits set behind its prefix length`,
      `Write ${canonical(network, length)} for the whole block, ` +
        `or ${canonical(address, bits)} for this one address`,
    );
  }
  if (length === 0 && !form.everything) {
    return fault(
      `${quoted} is every address there is, which a set may not hold`,
      "Leave out `from`, or write it as the `cidr` of a rule",
    );
  }
  const bare = lengthText === undefined ? plain(address) : canonical(address, length);
  return fault(`${quoted} is not in canonical form${spelling(text)}`, `Write ${bare}`);
}

function spelling(text: string): string {
  if (/[A-F]/.test(text)) return " (IPv6 is written in lower case)";
  if (/(^|[.:/])0[0-9a-f]/.test(text)) {
    return text.includes(":")
      ? " (leading zeros)"
      : " (leading zeros, which some programs read as octal)";
  }
  return "";
}

/** Also reads what people write by mistake: leading zeros, upper case, uncompressed IPv6. */
function readLoosely(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (/^\d{1,4}(\.\d{1,4}){3}$/.test(text)) {
    const octets = text.split(".").map(Number);
    return octets.every((octet) => octet <= 255) ? new ipaddr.IPv4(octets) : undefined;
  }
  const isPlain = text.includes(":") && /^[0-9A-Fa-f:.]+$/.test(text);
  return isPlain && ipaddr.IPv6.isValid(text) ? ipaddr.IPv6.parse(text) : undefined;
}

function readLength(text: string | undefined, bits: number): number | CidrFault {
  if (text === undefined) return bits;
  const netmask = /^\d+(\.\d+){3}$/.test(text) ? readLoosely(text) : undefined;
  if (netmask instanceof ipaddr.IPv4) {
    const length = netmask.prefixLengthFromSubnetMask();
    return fault(
      "has a network mask where the prefix length belongs",
      length === null ? `Write the length, 0 to ${bits}` : `Write /${length}`,
    );
  }
  if (!/^\d+$/.test(text)) {
    return fault(`has no number behind the slash`, `Write the prefix length, 0 to ${bits}`);
  }
  if (Number(text) > bits) {
    return fault(
      `has the prefix length ${quoteLength(text)}, but ${bits === 32 ? "IPv4" : "IPv6"} ` +
        `addresses have ${bits} bits`,
      `Write a length of 0 to ${bits}`,
    );
  }
  return Number(text);
}

function quoteLength(text: string): string {
  return text.length > 8 ? `${text.slice(0, 8)}…` : text;
}

function explainAddress(text: string, quoted: string, form: CidrForm): CidrFault {
  const octets = /^\d+(\.\d+)*\.?$/.test(text) ? text.split(".") : undefined;
  if (octets !== undefined) {
    const tooLarge = octets.find((octet) => Number(octet) > 255);
    if (octets.length === 4 && tooLarge !== undefined) {
      return fault(`${quoted} has the part ${quoteLength(tooLarge)}`, "Write parts of 0 to 255");
    }
    if (octets.length !== 4 || octets.includes("")) {
      const parts = octets.filter((octet) => octet !== "").length;
      return fault(`${quoted} has ${parts} of the four parts of an IPv4 address`, show(form));
    }
  }
  if (/^[0-9A-Fa-f.:]+\s*(-|–|\.\.)\s*[0-9A-Fa-f.:]+$/.test(text)) {
    return fault(`${quoted} is a range of addresses`, "Write it as one CIDR or several");
  }
  if (text.includes("%")) {
    return fault(`${quoted} names a zone`, "Leave out % and what follows");
  }
  if (/^\d+(\.\d+){3}:\d+$/.test(text) || text.startsWith("[")) {
    return fault(`${quoted} is an address with a port or brackets`, "Write ports in `protocols`");
  }
  if (text.includes("*")) {
    return fault(`${quoted} has a wildcard`, "Write the prefix length, 10.0.0.0/8 for 10.*");
  }
  if (text.includes(":")) {
    return fault(`${quoted} is not an IPv6 address`, show(form));
  }
  if (/[A-Za-z]/.test(text)) {
    return fault(`${quoted} is not an address; names are not resolved`, show(form));
  }
  return fault(`${quoted} is not an IP address`, show(form));
}

function offer(text: string, form: CidrForm): string {
  const scanner = new CidrScanner();
  return scanner.scan(text) !== 0 && scanner.fits(form)
    ? `Write ${text}`
    : explainCidr(text, form).remedy;
}

function mask(address: ipaddr.IPv4 | ipaddr.IPv6, length: number): ipaddr.IPv4 | ipaddr.IPv6 {
  const text = `${address.toString()}/${length}`;
  return address.kind() === "ipv4"
    ? ipaddr.IPv4.networkAddressFromCIDR(text)
    : ipaddr.IPv6.networkAddressFromCIDR(text);
}

function canonical(address: ipaddr.IPv4 | ipaddr.IPv6, length: number): string {
  return `${plain(address)}/${length}`;
}

function plain(address: ipaddr.IPv4 | ipaddr.IPv6): string {
  return address instanceof ipaddr.IPv6
    ? formatGroups(Uint16Array.from(address.parts))
    : address.toString();
}

function show(form: CidrForm): string {
  return `Write ${example(form)}`;
}

function example(form: CidrForm): string {
  return form.bareAddress
    ? "a CIDR such as 192.0.2.0/24 or 2001:db8::/32, or an address"
    : "a CIDR such as 192.0.2.0/24 or 2001:db8::/32";
}

function quote(text: string): string {
  return JSON.stringify(text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE)}…` : text);
}

function fault(message: string, remedy: string): CidrFault {
  return { message, remedy };
}
