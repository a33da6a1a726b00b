/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Address to class. Written by the agent in place; a line that a packet can reach is never changed, only replaced
 * by one store to the word that points to it, so every packet sees the old or the new.
 *
 *   IPv4   v4_touched: bit per /24 ── 0 ──> CLASS_V4_DEFAULT          (almost all legitimate traffic ends here)
 *          v4_top: word per /16 ── class of the whole /16
 *                               └─ block: bit per touched /24, word per touched /24 ── class of the /24
 *                                                                                   ├─ one host's class
 *                                                                                   └─ runs: class per run of hosts
 *   IPv6   v6_touched: bit per hash of /48 ── 0 ──> short prefixes, by binary search
 *          buckets: 4 /48s per line ── class of the /48
 *                                   └─ node: sorted runs inside the /48, by binary search
 */
#ifndef SLUICE_ADDRESSES_H
#define SLUICE_ADDRESSES_H

#include "maps.h"
#include "packet.h"

enum address_layout {
	/* Classes of addresses that nothing longer than /0 covers. */
	CLASS_V4_DEFAULT = 0,
	CLASS_V6_DEFAULT = 1,

	/* v4_top words and bucket words: set = line index of a block or node, clear = class. */
	WORD_IS_LINE = 0x40000000,
	/* /24 words: one host in bits 16–23 has the class in bits 0–15, the others the block's. */
	WORD_IS_HOST = 0x20000000,
	WORD_LINE_MASK = 0x1fffffff,

	V4_TOP_LINES = 4096,

	/* Block, as 16-bit units of its first line. Words follow in the next lines. */
	BLOCK_RANK = 16,
	BLOCK_CLASS = 20,
	/* Runs: 256 bits of run starts, then as 16-bit units: */
	RUNS_RANK = 16,
	RUNS_INLINE_CLASSES = 20,
	RUNS_INLINE_COUNT = 12,

	/* Bucket: four 64-bit keys (bits 0–47: the /48, bit 63: in use), then as 32-bit units: */
	BUCKET_SLOTS = 4,
	BUCKET_WORDS = 8,
	BUCKET_PROBES = 4,

	/* Node: entry count in the first word; entries of 16 bytes from the next line:
	 * lower 64 bits; then as 16-bit units bits 48–63 of the address, class. */
	NODE_ENTRIES_PER_LINE = 4,
	NODE_SEARCH_STEPS = 20,
	/* Short interval: 48-bit start << 16 | class. */
	SHORT_PER_LINE = 8,
	SHORT_SEARCH_STEPS = 17,
};

/* Keeps the enum in the object's BTF, where the code generator finds it. */
const volatile enum address_layout address_layout_for_btf = CLASS_V4_DEFAULT;

static __always_inline struct line *line_at(void *table, __u32 index)
{
	return bpf_map_lookup_elem(table, &index);
}

/* The compiler drops a mask that it can prove useless; the verifier of older kernels cannot follow the proof. */
static __always_inline __u32 half_at(const struct line *line, __u32 index)
{
	asm volatile("" : "+r"(index));
	return ((const __u16 *)line->words)[index & 31];
}

static __always_inline __u32 word_at(const struct line *line, __u32 index)
{
	asm volatile("" : "+r"(index));
	return ((const __u32 *)line->words)[index & 15];
}

/* How many of the 256 bits are set up to and including `bit`; the ranks of whole words are stored. */
static __always_inline __u32 rank_at(const struct line *line, __u32 bit, __u32 ranks)
{
	__u32 word = (bit >> 6) & 3;
	__u64 upto = line->words[word] & (~0ULL >> (63 - (bit & 63)));

	return half_at(line, ranks + word) + count_bits(upto);
}

static __always_inline bool bit_at(const struct line *line, __u32 bit)
{
	return line->words[(bit >> 6) & 7] >> (bit & 63) & 1;
}

/* Class of an address whose /24 is touched. `half`: of the top table; `address` in host order. */
static __always_inline __u32 touched_class_v4(__u32 half, __u32 address)
{
	struct line *line = line_at(&v4_top, half * V4_TOP_LINES + (address >> 20));
	__u32 word, rank;

	if (!line)
		return CLASS_V4_DEFAULT;
	word = word_at(line, address >> 16);
	if (!(word & WORD_IS_LINE))
		return word;

	__u32 block_index = word & WORD_LINE_MASK;
	struct line *block = line_at(&address_lines, block_index);
	__u32 prefix = (address >> 8) & 255;

	if (!block)
		return CLASS_V4_DEFAULT;
	if (!(block->words[prefix >> 6] >> (prefix & 63) & 1))
		return half_at(block, BLOCK_CLASS);
	rank = rank_at(block, prefix, BLOCK_RANK) - 1;
	line = line_at(&address_lines, block_index + 1 + (rank >> 4));
	if (!line)
		return CLASS_V4_DEFAULT;
	word = word_at(line, rank);
	if (word & WORD_IS_HOST) {
		if (((word >> 16) & 255) == (address & 255))
			return word & 0xffff;
		return half_at(block, BLOCK_CLASS);
	}
	if (!(word & WORD_IS_LINE))
		return word;

	__u32 runs_index = word & WORD_LINE_MASK;
	struct line *runs = line_at(&address_lines, runs_index);

	if (!runs)
		return CLASS_V4_DEFAULT;
	/* The first run starts at host 0, so the rank is at least 1. */
	rank = rank_at(runs, address & 255, RUNS_RANK) - 1;
	if (rank < RUNS_INLINE_COUNT)
		return half_at(runs, RUNS_INLINE_CLASSES + rank);
	rank -= RUNS_INLINE_COUNT;
	line = line_at(&address_lines, runs_index + 1 + (rank >> 5));
	return line ? half_at(line, rank) : CLASS_V4_DEFAULT;
}

/*
 * Class of an address that no prefix of /48 or longer touches. `first`: first line of the `count` intervals, of which
 * the first starts at 0; `prefix`: upper 48 bits. A global function is proved once, not once per path that leads to it,
 * and its arguments are any number to the verifier: `zero` keeps it from following each way through the search, of
 * which there are 2^17, with its own bounds.
 */
__noinline int short_class_v6(__u32 first, __u32 count, __u64 prefix, __u32 zero)
{
	__u32 at = 0, class = CLASS_V6_DEFAULT;
	struct line *line = line_at(&address_lines, first);

	if (line)
		class = line->words[0] & 0xffff;
	for (int i = SHORT_SEARCH_STEPS - 1; i >= 0; i--) {
		__u32 next = (at + (1u << i)) ^ zero;

		if (next >= count)
			continue;
		line = line_at(&address_lines, first + (next >> 3));
		if (!line)
			break;
		if (line->words[next & 7] >> 16 <= prefix) {
			class = line->words[next & 7] & 0xffff;
			at = next;
		}
	}
	return class;
}

/* Class inside a /48. `subnet`: bits 48–63 of the address, `host`: its lower 64 bits. The first run starts at 0. */
__noinline int node_class_v6(__u32 node, __u32 subnet, __u64 host, __u32 zero)
{
	struct line *line = line_at(&address_lines, node);
	__u32 at = 0, count, class = CLASS_V6_DEFAULT;

	if (!line)
		return class;
	count = line->words[0];
	line = line_at(&address_lines, node + 1);
	if (line)
		class = half_at(line, 5);
	for (int i = NODE_SEARCH_STEPS - 1; i >= 0; i--) {
		if (!((count - 1) >> i))
			continue;

		__u32 next = (at + (1u << i)) ^ zero, word = (next & 3) * 2, start_subnet;

		if (next >= count)
			continue;
		line = line_at(&address_lines, node + 1 + (next >> 2));
		if (!line)
			break;
		start_subnet = half_at(line, word * 4 + 4);
		if (start_subnet < subnet || (start_subnet == subnet && line->words[word] <= host)) {
			class = half_at(line, word * 4 + 5);
			at = next;
		}
	}
	return class;
}

/* The agent computes the same hash. */
static __always_inline __u32 hash_v6_prefix(__u64 prefix)
{
	__u32 hash = (__u32)(prefix >> 16) * 0x9e3779b1u ^ ((__u32)prefix & 0xffff) * 0x85ebca6bu;

	hash ^= hash >> 15;
	hash *= 0xc2b2ae35u;
	return hash ^ hash >> 13;
}

/* `index`: of the generation; `high` and `low`: halves of the address in host order. */
__noinline int address_class_v6(__u32 index, __u64 high, __u64 low)
{
	__u32 zero = 0;
	struct control *table = bpf_map_lookup_elem(&control, &zero);
	const struct generation *generation;

	if (!table)
		return CLASS_V6_DEFAULT;
	generation = &table->generations[index & 1];

	__u64 prefix = high >> 16;
	__u32 hash = hash_v6_prefix(prefix);
	struct line *line = line_at(&v6_touched, hash >> 17);

	if (line && bit_at(line, (hash >> 8) & 511)) {
		__u64 key = prefix | 1ULL << 63;

#pragma unroll
		for (int probe = 0; probe < BUCKET_PROBES; probe++) {
			__u32 bucket = (hash + probe) & generation->v6_bucket_mask;
			__u32 word = ~0u;

			line = line_at(&address_lines, generation->v6_buckets + bucket);
			if (!line)
				break;
#pragma unroll
			for (int slot = 0; slot < BUCKET_SLOTS; slot++)
				if (line->words[slot] == key)
					word = word_at(line, BUCKET_WORDS + slot);
			if (word == ~0u)
				continue;
			if (!(word & WORD_IS_LINE))
				return word;
			return node_class_v6(word & WORD_LINE_MASK, high & 0xffff, low, 0);
		}
	}
	if (!generation->v6_short_count)
		return CLASS_V6_DEFAULT;
	return short_class_v6(generation->v6_short, generation->v6_short_count, prefix, 0);
}

static __always_inline __u64 address_half(const __u32 *words)
{
	return (__u64)bpf_ntohl(words[0]) << 32 | bpf_ntohl(words[1]);
}

static __always_inline __u32 address_class_v4(__u32 half, __u32 address)
{
	struct line *line = line_at(&v4_touched, address >> 17);

	if (!line || !bit_at(line, (address >> 8) & 511))
		return CLASS_V4_DEFAULT;
	return touched_class_v4(half, address);
}

/* `address` in network order, IPv4 in its first word. */
static __always_inline __u32 address_class(const struct generation *generation, const struct packet *packet,
					   const __u32 *address)
{
	if (packet->family == 4)
		return address_class_v4(generation->v4_half, bpf_ntohl(address[0]));
	return address_class_v6(packet->generation, address_half(address), address_half(address + 2));
}

#endif
