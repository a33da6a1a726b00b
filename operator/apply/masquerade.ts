import { createHash } from "node:crypto";
import {
  type AddressRange,
  deleteNfTable,
  hasNfTable,
  isMasquerade,
  type Masquerade,
  writeMasquerade,
} from "../../datapath/nf-masquerade.js";
import type { AddressSpan, MasqueradePlan } from "../compile/masquerade.js";

/** Of the family inet: `nft list table inet sluice`. */
export const MASQUERADE_TABLE = "sluice";

/** Source addresses of what leaves the cluster, translated by nftables. */
export class MasqueradeTable {
  #fingerprint: string | undefined;
  #rules: readonly Masquerade[] = [];

  /** Whether it was written, or found as it should be. */
  get isInForce(): boolean {
    return this.#fingerprint !== undefined;
  }

  /**
   * Puts a plan into nftables, in one step; what is there already is not written.
   *
   * @param mustRead whether the kernel is asked although the plan is the last one
   * @throws SluiceError SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY
   */
  ensure(plan: MasqueradePlan, mustRead: boolean): void {
    const fingerprint = fingerprintOf(plan);
    if (fingerprint === this.#fingerprint && !mustRead) return;
    const rules = rulesOf(plan);
    this.#fingerprint = undefined;
    if (!isMasquerade(MASQUERADE_TABLE, rules, commentOf(fingerprint))) {
      writeMasquerade(MASQUERADE_TABLE, rules, commentOf(fingerprint));
    }
    this.#fingerprint = fingerprint;
    this.#rules = rules;
  }

  /** Whether the kernel still has what was put there, if anything was. */
  isThere(): boolean {
    const fingerprint = this.#fingerprint;
    if (fingerprint === undefined) return true;
    return isMasquerade(MASQUERADE_TABLE, this.#rules, commentOf(fingerprint));
  }

  /** @throws SluiceError SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY */
  remove(): void {
    this.#fingerprint = undefined;
    removeMasquerade();
  }
}

/**
 * @returns whether there was one
 * @throws SluiceError SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY
 */
export function removeMasquerade(): boolean {
  if (!hasNfTable(MASQUERADE_TABLE)) return false;
  deleteNfTable(MASQUERADE_TABLE);
  return true;
}

function commentOf(fingerprint: string): string {
  return `pods to the outside ${fingerprint}`;
}

function rulesOf({ sources, exceptions }: MasqueradePlan): readonly Masquerade[] {
  const of = (spans: readonly AddressSpan[], family: 4 | 6) =>
    spans.filter((span) => span.family === family).map(rangeOf);
  return ([4, 6] as const)
    .map((family) => ({
      family,
      sources: of(sources, family),
      exceptions: of(exceptions, family),
    }))
    .filter(({ sources: own }) => own.length > 0);
}

function rangeOf({ family, first, last }: AddressSpan): AddressRange {
  return { first: bytesOf(first, family), last: bytesOf(last, family) };
}

function bytesOf(address: bigint, family: 4 | 6): Buffer {
  return Buffer.from(address.toString(16).padStart(family === 4 ? 8 : 32, "0"), "hex");
}

function fingerprintOf({ sources, exceptions }: MasqueradePlan): string {
  const text = [sources, exceptions].map((spans) =>
    spans.map(({ family, first, last }) => `${family} ${first} ${last}`),
  );
  return createHash("sha256").update(JSON.stringify(text)).digest("hex").slice(0, 16);
}
