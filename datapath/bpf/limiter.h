/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Token bucket kept as one 64-bit time: the moment the bucket will be full again. A packet moves that moment by its
 * cost; it is above the rate when the moment would lie further ahead than a full bucket takes to fill.
 * One word per bucket means one compare-and-exchange and no lock. Times are 1/16 ns: a packet at 10 Gbit/s of
 * 64-byte frames still costs a whole number, and the clock lasts 36 years.
 */
#ifndef SLUICE_LIMITER_H
#define SLUICE_LIMITER_H

#include "maps.h"
#include "packet.h"

enum { LIMIT_CLOCK_SHIFT = 4, LIMIT_COST_SHIFT = 10, LIMIT_RETRIES = 4 };

static __always_inline void mask_address(__u32 *address, __u32 prefix)
{
#pragma unroll
	for (int i = 0; i < 4; i++) {
		__u32 bits = prefix > i * 32u ? prefix - i * 32u : 0;

		if (!bits)
			address[i] = 0;
		else if (bits < 32)
			address[i] &= bpf_htonl(~0u << (32 - bits));
	}
}

/* True when the packet is above the rate. A trace only looks at the bucket. */
static __noinline bool above_limit(const struct packet *packet, __u32 slot, const struct limit *limit)
{
	__u64 now = bpf_ktime_get_ns() << LIMIT_CLOCK_SHIFT;
	__u64 units = limit->unit == LIMIT_BYTES ? packet->length : 1;
	__u64 cost = (units * limit->cost) >> LIMIT_COST_SHIFT;
	__u64 *full_at;

	if (limit->scope == LIMIT_NODE) {
		full_at = bpf_map_lookup_elem(&node_buckets, &slot);
	} else {
		struct bucket_key key = { .slot = slot, .family = packet->family };

		__builtin_memcpy(key.address, packet->source, sizeof(key.address));
		mask_address(key.address, packet->family == 4 ? limit->v4_prefix : limit->v6_prefix);
		full_at = bpf_map_lookup_elem(&source_buckets, &key);
		if (!full_at) {
			__u64 first = now + cost;

			if (cost > limit->burst)
				return true;
			if (packet->tracing || !bpf_map_update_elem(&source_buckets, &key, &first, BPF_NOEXIST))
				return false;
			/* Another CPU was first. */
			full_at = bpf_map_lookup_elem(&source_buckets, &key);
		}
	}
	if (!full_at)
		return false;

	for (int i = 0; i < LIMIT_RETRIES; i++) {
		__u64 seen = *(volatile __u64 *)full_at;
		__u64 from = seen > now ? seen : now;

		if (from + cost - now > limit->burst)
			return true;
		if (packet->tracing || __sync_val_compare_and_swap(full_at, seen, from + cost) == seen)
			return false;
	}
	/* Contended beyond reason: others are spending; let this one through rather than drop what may be allowed. */
	return false;
}

#endif
