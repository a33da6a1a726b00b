/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets of the stack, whose headers may lie outside the part that a program reads. */
#ifndef SLUICE_SKB_H
#define SLUICE_SKB_H

#include "parse.h"

/* A global function: the verifier forgets which way through the headers led here. */
__noinline int parse_skb(struct __sk_buff *skb, struct packet *packet)
{
	if (!packet)
		return REASON_INTERNAL;
	return parse_frame(packet, (void *)(long)skb->data, (void *)(long)skb->data_end);
}

/*
 * Brings up to `bytes` of the packet within reach. True when that brought any; pointers into the packet must be read
 * again. Copies payload, so it is only called for packets that cannot do without.
 */
static __always_inline bool reach(struct __sk_buff *skb, __u32 bytes)
{
	__u32 length = skb->len, reached = skb->data_end - skb->data;

	if (bytes > length)
		bytes = length;
	return reached < bytes && !bpf_skb_pull_data(skb, bytes);
}

#endif
