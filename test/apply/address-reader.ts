/** The reading side of the address tables (datapath/bpf/addresses.h), to test the writing side without packets. */

import { AddressLayout as L } from "../../datapath/generated/layout.js";
import { hashV6Prefix } from "../../operator/compile/v6-image.js";
import type { V6Pointers } from "../../operator/apply/v6-table.js";

export interface AddressMemory {
  readonly addressLines: Uint32Array;
  readonly v4Top: Uint32Array;
  readonly v4Touched: Uint32Array;
  readonly v6Touched: Uint32Array;
}

export function readClassV4(memory: AddressMemory, half: 0 | 1, address: number): number {
  const prefix24 = address >>> 8;
  if (!bit(memory.v4Touched, prefix24)) return L.CLASS_V4_DEFAULT;
  const top = memory.v4Top[half * 65536 + (address >>> 16)]!;
  if ((top & L.WORD_IS_LINE) === 0) return top;
  const block = (top & L.WORD_LINE_MASK) * 16;
  const inBlock = prefix24 & 255;
  const background = halfWord(memory, block, L.BLOCK_CLASS);
  if (!bit(memory.addressLines.subarray(block, block + 8), inBlock)) return background;
  const rank = rankOf(memory, block, inBlock) - 1;
  const word = memory.addressLines[block + 16 + rank]!;
  if ((word & L.WORD_IS_HOST) !== 0) {
    return ((word >>> 16) & 255) === (address & 255) ? word & 0xffff : background;
  }
  if ((word & L.WORD_IS_LINE) === 0) return word;
  const runs = (word & L.WORD_LINE_MASK) * 16;
  const run = rankOf(memory, runs, address & 255) - 1;
  return run < L.RUNS_INLINE_COUNT
    ? halfWord(memory, runs, L.RUNS_INLINE_CLASSES + run)
    : halfWord(memory, runs + 16, run - L.RUNS_INLINE_COUNT);
}

export function readClassV6(
  memory: AddressMemory,
  pointers: V6Pointers,
  high: bigint,
  low: bigint,
): number {
  const prefix = Number(high >> 16n);
  const hash = hashV6Prefix(prefix);
  if (bit(memory.v6Touched, hash >>> 8)) {
    for (let probe = 0; probe < L.BUCKET_PROBES; probe++) {
      const line = (pointers.v6Buckets + ((hash + probe) & pointers.v6BucketMask)) * 16;
      for (let slot = 0; slot < L.BUCKET_SLOTS; slot++) {
        const keyLow = memory.addressLines[line + slot * 2]!;
        const keyHigh = memory.addressLines[line + slot * 2 + 1]!;
        if (keyLow !== prefix % 2 ** 32) continue;
        if (keyHigh !== (Math.floor(prefix / 2 ** 32) | 0x80000000) >>> 0) continue;
        const word = memory.addressLines[line + L.BUCKET_WORDS + slot]!;
        return (word & L.WORD_IS_LINE) === 0
          ? word
          : readNode(memory, word & L.WORD_LINE_MASK, ((high & 0xffffn) << 64n) | low);
      }
    }
  }
  let found = L.CLASS_V6_DEFAULT as number;
  for (let index = 0; index < pointers.v6ShortCount; index++) {
    const at = pointers.v6Short * 16 + index * 2;
    const entry = (BigInt(memory.addressLines[at + 1]!) << 32n) | BigInt(memory.addressLines[at]!);
    if (entry >> 16n > BigInt(prefix)) break;
    found = Number(entry & 0xffffn);
  }
  return found;
}

function readNode(memory: AddressMemory, node: number, rest: bigint): number {
  const count = memory.addressLines[node * 16]!;
  let found = -1;
  for (let index = 0; index < count; index++) {
    const at = (node + 1) * 16 + index * 4;
    const words = memory.addressLines.subarray(at, at + 3);
    const start =
      (BigInt(words[2]! & 0xffff) << 64n) | (BigInt(words[1]!) << 32n) | BigInt(words[0]!);
    if (start > rest) break;
    found = words[2]! >>> 16;
  }
  return found;
}

function bit(words: Uint32Array, index: number): boolean {
  return ((words[index >>> 5]! >>> (index & 31)) & 1) === 1;
}

function halfWord({ addressLines }: AddressMemory, word: number, index: number): number {
  return new Uint16Array(addressLines.buffer, addressLines.byteOffset)[word * 2 + index]!;
}

/** Set bits of a 256-bit map up to and including one. */
function rankOf({ addressLines }: AddressMemory, at: number, upTo: number): number {
  let rank = 0;
  for (let index = 0; index <= upTo; index++) {
    if (bit(addressLines.subarray(at, at + 8), index)) rank++;
  }
  return rank;
}
