import ipaddr from "ipaddr.js";
import { ANY_CIDR, isFault, PEER_CIDR, readCidr } from "./cidr.js";
import { formatGroups } from "./cidr-format.js";
import type { CidrForm, CidrScanner } from "./cidr-scan.js";
import type { Cidr } from "./records.js";

/**
 * Kubernetes has taken addresses with leading zeros, which are decimal and never octal, with host
 * bits, and IPv4 in IPv6 form for years, and keeps what it has taken (NetworkPolicy N19,
 * reference/services.md §1.1). What policies of Sluice's own say must be canonical: `readCidr`.
 *
 * @returns undefined when the text is no address
 */
export function readLooseAddress(text: string): Cidr | undefined {
  return text.includes("/") ? undefined : readLoosely(text, ANY_CIDR);
}

/**
 * As `readLooseAddress`, for a block: host bits are cleared.
 *
 * @returns undefined when the text is no block
 */
export function readLooseCidr(text: string): Cidr | undefined {
  return readLoosely(text, PEER_CIDR);
}

function readLoosely(text: string, form: CidrForm): Cidr | undefined {
  const cidr = readCidr(text, form);
  if (!isFault(cidr)) return cidr;
  const canonical = canonicalText(text);
  const loose = canonical === undefined ? cidr : readCidr(canonical, form);
  return isFault(loose) ? undefined : loose;
}

/**
 * Scans an address as `readLooseAddress` reads it, without allocating for those in canonical form.
 *
 * @returns the family, 0 when the text is no address
 */
export function scanLooseAddress(scanner: CidrScanner, text: string): 4 | 6 | 0 {
  const family = scanner.scan(text);
  if (family !== 0) return scanner.length < 0 ? family : 0;
  const canonical = text.includes("/") ? undefined : canonicalText(text);
  return canonical === undefined ? 0 : scanner.scan(canonical);
}

/** The text as `readCidr` takes it, with a prefix length where it has one. */
function canonicalText(text: string): string | undefined {
  const slash = text.indexOf("/");
  const address = readAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  if (slash < 0) return plain(address);
  const lengthText = text.slice(slash + 1);
  const isMapped = address instanceof ipaddr.IPv4 && text.includes(":");
  const length = Number(lengthText) - (isMapped ? 96 : 0);
  if (!/^\d{1,3}$/.test(lengthText) || length < 0) return undefined;
  if (length > (address instanceof ipaddr.IPv4 ? 32 : 128)) return undefined;
  const block = `${address.toString()}/${length}`;
  const network =
    address instanceof ipaddr.IPv4
      ? ipaddr.IPv4.networkAddressFromCIDR(block)
      : ipaddr.IPv6.networkAddressFromCIDR(block);
  return `${plain(network)}/${length}`;
}

function readAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (/^\d{1,9}(\.\d{1,9}){3}$/.test(text)) {
    const octets = text.split(".").map(Number);
    return octets.every((octet) => octet <= 255) ? new ipaddr.IPv4(octets) : undefined;
  }
  const isPlain = text.includes(":") && /^[0-9A-Fa-f:.]+$/.test(text);
  if (!isPlain || !ipaddr.IPv6.isValid(text)) return undefined;
  const address = ipaddr.IPv6.parse(text);
  return address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
}

function plain(address: ipaddr.IPv4 | ipaddr.IPv6): string {
  return address instanceof ipaddr.IPv6
    ? formatGroups(Uint16Array.from(address.parts))
    : address.toString();
}
