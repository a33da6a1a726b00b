/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bandwidth of pods: what is above a direction's rate is dropped (docs/pods.md). */
#ifndef SLUICE_RATES_H
#define SLUICE_RATES_H

#include "limiter.h"
#include "skb.h"

/* Agent writes rate and burst, programs the time: by interface slot, one for each direction of a pod. */
MMAPPED_ARRAY(pod_rates, struct pod_rate, MAX_INTERFACE_SLOTS);

enum { UDP_HEADER_BYTES = 8, TCP_LENGTH_OFFSET = 12 };

/* Bytes of all frames that a packet becomes on a wire: each segment has headers of its own. */
static __always_inline __u64 wire_bytes(struct __sk_buff *skb, const struct packet *packet)
{
	__u32 headers = packet->transport_offset, segments;
	__u8 words = 0;

	if (!skb->gso_size)
		return skb->len;
	if (packet->protocol != PROTO_TCP)
		headers += UDP_HEADER_BYTES;
	else if (!bpf_skb_load_bytes(skb, headers + TCP_LENGTH_OFFSET, &words, 1))
		headers += (words >> 4) * 4;
	if (headers >= skb->len)
		return skb->len;
	segments = (skb->len - headers + skb->gso_size - 1) / skb->gso_size;
	return skb->len + (__u64)(segments - 1) * headers;
}

/*
 * Drops a packet that is above the rate of a slot. A full bucket lets any packet through, and the next ones wait
 * until that is paid: a packet larger than the burst would never pass otherwise.
 */
__noinline int police(struct __sk_buff *skb, struct packet *packet, __u32 slot)
{
	__u64 now = bpf_ktime_get_ns() << LIMIT_CLOCK_SHIFT, cost;
	struct pod_rate *rate = bpf_map_lookup_elem(&pod_rates, &slot);

	if (!packet || !rate || !rate->cost)
		return 0;
	cost = (wire_bytes(skb, packet) * rate->cost) >> LIMIT_COST_SHIFT;
	for (int i = 0; i < LIMIT_RETRIES; i++) {
		__u64 seen = *(volatile __u64 *)&rate->full_at;
		__u64 from = seen > now ? seen : now;

		if (from > now && from + cost - now > rate->burst) {
			decide(packet, VERDICT_DROP, REASON_LIMIT);
			return 0;
		}
		if (__sync_val_compare_and_swap(&rate->full_at, seen, from + cost) == seen)
			return 0;
	}
	/* As above_limit(): contended beyond reason. */
	return 0;
}

/* The last thing before a packet that policies let pass is handed on. `limits`: of the pod; `direction`: of the packet. */
static __always_inline void keep_rate(struct __sk_buff *skb, struct packet *packet, __u32 limits,
				      enum pod_limits direction, __u32 slot)
{
	if ((limits & direction) && packet->verdict == VERDICT_PASS)
		police(skb, packet, slot);
}

#endif
