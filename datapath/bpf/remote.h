/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* To a pod of another node by the kernel's routes, but past its stack. */
#ifndef SLUICE_REMOTE_H
#define SLUICE_REMOTE_H

#include "deliver.h"

enum { FAMILY_IPV4 = 2, FAMILY_IPV6 = 10 };

/* Bytes of the largest packet that this one becomes on the wire: of a segment, when it is yet to be cut. 0: unknown. */
static __always_inline __u32 wire_length(struct __sk_buff *skb, const struct packet *packet)
{
	__u32 header = packet->transport_offset - sizeof(struct ethhdr);
	__u8 words = 0;

	if (!skb->gso_size)
		return skb->len - sizeof(struct ethhdr);
	if (packet->protocol == PROTO_UDP)
		return header + sizeof(struct udphdr) + skb->gso_size;
	/* The byte with the length of a TCP header. */
	if (packet->protocol != PROTO_TCP || bpf_skb_load_bytes(skb, packet->transport_offset + 12, &words, 1))
		return 0;
	return header + (words >> 4) * 4 + skb->gso_size;
}

/*
 * For a packet for which can_deliver() holds: sends it as the kernel's routes say. What they say no single next hop for,
 * or for which it is too large, is left to the stack, which knows what to answer.
 */
__noinline int send_by_route(struct __sk_buff *skb, struct packet *packet)
{
	struct bpf_fib_lookup route = { .ifindex = skb->ifindex };
	struct bpf_redir_neigh next = {};
	__u32 length;
	long found;

	if (!packet)
		return TC_ACT_UNSPEC;
	length = wire_length(skb, packet);
	if (!length || length > 0xffff)
		return TC_ACT_UNSPEC;
	route.tot_len = length;
	route.l4_protocol = packet->protocol;
	if (packet->family == 4) {
		route.family = FAMILY_IPV4;
		route.ipv4_src = packet->source[0];
		route.ipv4_dst = packet->destination[0];
	} else {
		route.family = FAMILY_IPV6;
		__builtin_memcpy(route.ipv6_src, packet->source, 16);
		__builtin_memcpy(route.ipv6_dst, packet->destination, 16);
	}
	found = bpf_fib_lookup(skb, &route, sizeof(route), 0);
	/* A neighbour that is not known yet is asked for on the way. */
	if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH)
		return TC_ACT_UNSPEC;
	if (!take_one_hop(skb, packet))
		return TC_ACT_UNSPEC;
	next.nh_family = route.family;
	__builtin_memcpy(next.ipv6_nh, route.ipv6_dst, 16);
	return bpf_redirect_neigh(route.ifindex, &next, sizeof(next), 0);
}

#endif
