import { SluiceError } from "../errors.js";
import { type CidrFault, explainCidr } from "./cidr-fault.js";
import { type CidrForm, CidrScanner } from "./cidr-scan.js";
import type { Cidr } from "./records.js";

/** `cidr` and `except` of a rule's peer. */
export const PEER_CIDR: CidrForm = { bareAddress: false, everything: true };
/** Entries of an XdpCidrSet. */
export const SET_CIDR: CidrForm = { bareAddress: true, everything: false };
/** Addresses and CIDRs that a person types. */
export const ANY_CIDR: CidrForm = { bareAddress: true, everything: true };

const scanner = new CidrScanner();

/**
 * Reads canonical text: no host bits, no leading zeros, IPv6 as RFC 5952 writes it and not
 * IPv4-mapped.
 *
 * @returns the CIDR, or why the text was refused and what to write instead
 */
export function readCidr(text: string, form: CidrForm): Cidr | CidrFault {
  const family = scanner.scan(text);
  return family !== 0 && scanner.fits(form) ? scanned(family) : explainCidr(text, form);
}

/**
 * As `readCidr`.
 *
 * @throws SluiceError `SLUICE_CIDR` that says what to write instead
 */
export function parseCidr(text: string, form: CidrForm = ANY_CIDR): Cidr {
  const cidr = readCidr(text, form);
  if (isFault(cidr)) {
    throw new SluiceError("SLUICE_CIDR", cidr.message, { remedy: cidr.remedy });
  }
  return cidr;
}

export function isFault(result: Cidr | CidrFault): result is CidrFault {
  return "remedy" in result;
}

function scanned(family: 4 | 6): Cidr {
  if (family === 4) {
    return {
      family: 4,
      address: scanner.address,
      length: scanner.length < 0 ? 32 : scanner.length,
    };
  }
  return {
    family: 6,
    high: join(scanner.groups, 0),
    low: join(scanner.groups, 4),
    length: scanner.length < 0 ? 128 : scanner.length,
  };
}

function join(groups: Uint16Array, from: number): bigint {
  const upper = (groups[from]! << 16) | groups[from + 1]!;
  const lower = (groups[from + 2]! << 16) | groups[from + 3]!;
  return (BigInt(upper >>> 0) << 32n) | BigInt(lower >>> 0);
}

/** Whether every address of `inner` is in `outer`; false across families. */
export function cidrContains(outer: Cidr, inner: Cidr): boolean {
  if (outer.length > inner.length) {
    return false;
  }
  if (outer.family === 4) {
    return (
      inner.family === 4 &&
      (outer.length === 0 || (outer.address ^ inner.address) >>> (32 - outer.length) === 0)
    );
  }
  if (inner.family === 4) {
    return false;
  }
  const shift = BigInt(128 - outer.length);
  const differing = ((outer.high ^ inner.high) << 64n) | (outer.low ^ inner.low);
  return differing >> shift === 0n;
}
