import { parseDateTime } from "../../model/date-time.js";
import { parseCidr, SET_CIDR } from "../../model/cidr.js";
import type { BlockedState } from "../../api/engine.js";
import { cliError } from "../errors.js";

/** `spec` of the XdpCidrSet, as the CRD has it. */
export interface CidrSetSpec {
  readonly setName?: string;
  readonly cidrs?: readonly string[];
  readonly expiring?: readonly { readonly cidr: string; readonly expiresAt: string }[];
  readonly [field: string]: unknown;
}

/** Bound of the CRD for one object. */
const mostEntries = 50_000;

/**
 * The text that stands for an address in the list: without the length of a single address.
 *
 * @throws SluiceError SLUICE_CIDR
 */
export function entryOf(text: string): string {
  const { family, length } = parseCidr(text, SET_CIDR);
  const isSingle = length === (family === 4 ? 32 : 128);
  return isSingle ? text.replace(/\/\d+$/, "") : text;
}

/**
 * With these entries, and without those that have ended.
 *
 * @param until RFC 3339; undefined: until unblocked
 * @throws SluiceError SLUICE_BLOCK_FULL
 */
export function withBlocked(
  spec: CidrSetSpec,
  entries: readonly string[],
  until: string | undefined,
  nowMs: number,
): CidrSetSpec {
  const { spec: rest } = withoutBlocked(spec, entries, nowMs);
  const { cidrs = [], expiring = [] } = rest;
  const added = [...new Set(entries)];
  const total = cidrs.length + expiring.length + added.length;
  if (total > mostEntries) {
    const most = mostEntries.toLocaleString("en-US");
    throw cliError(
      "SLUICE_BLOCK_FULL",
      `the list would have ${total.toLocaleString("en-US")} entries, and an XdpCidrSet holds ${most}`,
    );
  }
  return until === undefined
    ? { ...rest, cidrs: [...cidrs, ...added], expiring }
    : {
        ...rest,
        cidrs,
        expiring: [...expiring, ...added.map((cidr) => ({ cidr, expiresAt: until }))],
      };
}

/** Without these entries and those that have ended; `removed` has the ones that were there and had not. */
export function withoutBlocked(
  spec: CidrSetSpec,
  entries: readonly string[],
  nowMs: number,
): { readonly spec: CidrSetSpec; readonly removed: readonly string[] } {
  const unwanted = new Set(entries);
  const removed = new Set<string>();
  const stays = (cidr: string) => {
    const entry = normal(cidr);
    if (!unwanted.has(entry)) return true;
    removed.add(entry);
    return false;
  };
  const cidrs = (spec.cidrs ?? []).filter(stays);
  const expiring = (spec.expiring ?? [])
    .filter(({ expiresAt }) => isAhead(expiresAt, nowMs))
    .filter(({ cidr }) => stays(cidr));
  return { spec: { ...spec, cidrs, expiring }, removed: [...removed] };
}

/** What is blocked now. */
export function blockedEntries(
  { cidrs = [], expiring = [] }: CidrSetSpec,
  nowMs: number,
): readonly BlockedState[] {
  return [
    ...cidrs.map((cidr) => ({ cidr })),
    ...expiring
      .filter(({ expiresAt }) => isAhead(expiresAt, nowMs))
      .map(({ cidr, expiresAt }) => ({ cidr, until: expiresAt })),
  ];
}

/** A moment that nobody can read is not taken for one that is over. */
function isAhead(expiresAt: string, nowMs: number): boolean {
  return (parseDateTime(expiresAt) ?? Infinity) > nowMs;
}

/** Somebody may have written the object by hand. */
function normal(cidr: string): string {
  return cidr.replace(cidr.includes(":") ? /\/128$/ : /\/32$/, "");
}
