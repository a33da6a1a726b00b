/**
 * Reads one canonical address or CIDR, character by character, without allocating:
 * a set of a million entries is read in a fraction of a second and leaves no garbage.
 * It only says yes or no; `cidr-fault.ts` finds out why a text was refused.
 */

const DIGIT_0 = 48;
const DIGIT_9 = 57;
const LOWER_A = 97;
const LOWER_F = 102;
const DOT = 46;
const SLASH = 47;
const COLON = 58;

/** What `scan` found: the family, or that the text is not canonical. */
export type ScanResult = 4 | 6 | 0;

/** What a place in a manifest takes (docs/xdp-policy.md §1, "CIDRs"). */
export interface CidrForm {
  /** A bare address is read as a /32 or /128. */
  readonly bareAddress: boolean;
  /** A /0 is allowed. */
  readonly everything: boolean;
}

/** Reused by every scan: read the fields right after `scan` returned 4 or 6. */
export class CidrScanner {
  /** IPv4 address in host order. */
  address = 0;
  /** IPv6 address as eight groups, most significant first. */
  readonly groups = new Uint16Array(8);
  /** Prefix length; −1 for a bare address. */
  length = -1;

  /**
   * Accepts exactly: dotted decimal without leading zeros, or RFC 5952 IPv6 that is not
   * IPv4-mapped, with or without `/length`, host bits zero.
   */
  scan(text: string): ScanResult {
    for (let i = 0; i < 5; i++) {
      const code = text.charCodeAt(i);
      if (code === DOT) {
        return this.#scanV4(text);
      }
      if (code === COLON) {
        return this.#scanV6(text);
      }
    }
    return 0;
  }

  /** Whether the text last accepted may stand at a place of this form. */
  fits(form: CidrForm): boolean {
    return (this.length >= 0 || form.bareAddress) && (this.length !== 0 || form.everything);
  }

  #scanV4(text: string): ScanResult {
    let at = 0;
    let address = 0;
    for (let octet = 0; octet < 4; octet++) {
      let value = text.charCodeAt(at) - DIGIT_0;
      if (!(value >= 0 && value <= 9)) {
        return 0;
      }
      at++;
      let digit = text.charCodeAt(at) - DIGIT_0;
      if (digit >= 0 && digit <= 9) {
        if (value === 0) {
          return 0;
        }
        value = value * 10 + digit;
        at++;
        digit = text.charCodeAt(at) - DIGIT_0;
        if (digit >= 0 && digit <= 9) {
          value = value * 10 + digit;
          at++;
          if (value > 255) {
            return 0;
          }
        }
      }
      address = (address << 8) | value;
      if (octet < 3) {
        if (text.charCodeAt(at) !== DOT) {
          return 0;
        }
        at++;
      }
    }
    this.address = address >>> 0;
    if (at === text.length) {
      this.length = -1;
      return 4;
    }
    const length = scanLength(text, at, 32);
    // Shifting by 32 is shifting by 0 in JavaScript, and a /32 has no host bits.
    if (length < 0 || (length < 32 && address << length !== 0)) {
      return 0;
    }
    this.length = length;
    return 4;
  }

  #scanV6(text: string): ScanResult {
    const groups = this.groups;
    const end = text.length;
    let at = 0;
    let count = 0;
    let gap = -1;
    if (text.charCodeAt(0) === COLON) {
      if (text.charCodeAt(1) !== COLON) {
        return 0;
      }
      gap = 0;
      at = 2;
    }
    while (at < end && text.charCodeAt(at) !== SLASH) {
      if (count === 8) {
        return 0;
      }
      const start = at;
      let value = 0;
      for (; at < end && at - start < 4; at++) {
        const digit = hexDigit(text.charCodeAt(at));
        if (digit < 0) {
          break;
        }
        value = (value << 4) | digit;
      }
      if (at === start || (at - start > 1 && text.charCodeAt(start) === DIGIT_0)) {
        return 0;
      }
      groups[count++] = value;
      if (at === end || text.charCodeAt(at) === SLASH) {
        break;
      }
      if (text.charCodeAt(at) !== COLON) {
        return 0;
      }
      at++;
      if (text.charCodeAt(at) === COLON) {
        if (gap >= 0) {
          return 0;
        }
        gap = count;
        at++;
      } else if (at === end || text.charCodeAt(at) === SLASH) {
        return 0;
      }
    }
    if (!spread(groups, count, gap) || isMapped(groups)) {
      return 0;
    }
    if (at === end) {
      this.length = -1;
      return 6;
    }
    const length = scanLength(text, at, 128);
    if (length < 0 || hasHostBits(groups, length)) {
      return 0;
    }
    this.length = length;
    return 6;
  }
}

function hexDigit(code: number): number {
  if (code >= DIGIT_0 && code <= DIGIT_9) {
    return code - DIGIT_0;
  }
  return code >= LOWER_A && code <= LOWER_F ? code - LOWER_A + 10 : -1;
}

/** The number after the slash at `at`, up to the end of the text; −1 when it is none. */
function scanLength(text: string, at: number, maximum: number): number {
  const end = text.length;
  const digits = end - at - 1;
  if (text.charCodeAt(at) !== SLASH || digits < 1 || digits > 3) {
    return -1;
  }
  let length = 0;
  for (let i = at + 1; i < end; i++) {
    const digit = text.charCodeAt(i) - DIGIT_0;
    if (!(digit >= 0 && digit <= 9) || (length === 0 && i > at + 1)) {
      return -1;
    }
    length = length * 10 + digit;
  }
  return length <= maximum ? length : -1;
}

/**
 * Moves the groups behind `::` to the end and fills the gap with zeros.
 *
 * @returns whether `::` stands where RFC 5952 §4.2 puts it: at the first of the longest runs of two
 *   or more zero groups, taking in the whole run
 */
function spread(groups: Uint16Array, count: number, gap: number): boolean {
  if (gap >= 0) {
    groups.copyWithin(8 - (count - gap), gap, count);
    groups.fill(0, gap, 8 - (count - gap));
  } else if (count !== 8) {
    return false;
  }
  const run = longestZeroRun(groups);
  return run.length >= 2 ? gap === run.start && count === 8 - run.length : gap < 0;
}

const zeroRun = { start: -1, length: 0 };

/** The first of the longest runs of zero groups. The result object is reused. */
export function longestZeroRun(groups: Uint16Array): {
  readonly start: number;
  readonly length: number;
} {
  zeroRun.start = -1;
  zeroRun.length = 0;
  let length = 0;
  for (let i = 0; i < 8; i++) {
    length = groups[i] === 0 ? length + 1 : 0;
    if (length > zeroRun.length) {
      zeroRun.length = length;
      zeroRun.start = i - length + 1;
    }
  }
  return zeroRun;
}

function isMapped(groups: Uint16Array): boolean {
  return (
    groups[5] === 0xffff && (groups[0]! | groups[1]! | groups[2]! | groups[3]! | groups[4]!) === 0
  );
}

function hasHostBits(groups: Uint16Array, length: number): boolean {
  const first = length >> 4;
  if (first < 8 && (groups[first]! & (0xffff >> (length & 15))) !== 0) {
    return true;
  }
  for (let i = first + 1; i < 8; i++) {
    if (groups[i] !== 0) {
      return true;
    }
  }
  return false;
}
