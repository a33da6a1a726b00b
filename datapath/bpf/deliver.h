/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* To a pod of this node without the stack of the host. */
#ifndef SLUICE_DELIVER_H
#define SLUICE_DELIVER_H

#include <linux/if_packet.h>
#include "parse.h"
#include "pods.h"

/*
 * Nothing but what a router would do without a word. The stack answers for packets that have come to the end of their
 * hops, reads options, and drops what is addressed to another link layer address than the gateway's.
 */
static __always_inline bool can_deliver(struct __sk_buff *skb, const struct packet *packet)
{
	void *data = (void *)(long)skb->data, *data_end = (void *)(long)skb->data_end;
	struct iphdr *ipv4 = data + sizeof(struct ethhdr);
	struct ipv6hdr *ipv6 = data + sizeof(struct ethhdr);

	if (skb->pkt_type != PACKET_HOST)
		return false;
	if (packet->translation == TRANSLATION_DONE)
		return true;
	if (packet->traits & TRAIT_IP_OPTIONS)
		return false;
	if (packet->family == 4)
		return (void *)(ipv4 + 1) <= data_end && ipv4->ttl > 1;
	return (void *)(ipv6 + 1) <= data_end && ipv6->hop_limit > 1;
}

/* As ip_decrease_ttl of the kernel: the sum goes up by what the header goes down. */
static __always_inline void take_hop(struct iphdr *ip)
{
	__u32 check = ip->check;

	check += bpf_htons(0x0100);
	ip->check = check + (check >= 0xffff);
	ip->ttl--;
}

/* As a router does with what it forwards. */
static __always_inline bool take_one_hop(struct __sk_buff *skb, const struct packet *packet)
{
	void *data = (void *)(long)skb->data, *data_end = (void *)(long)skb->data_end;
	void *header = data + sizeof(struct ethhdr);

	if (header + sizeof(struct ipv6hdr) <= data_end && packet->family == 6) {
		((struct ipv6hdr *)header)->hop_limit--;
		/* A device may have summed the whole packet; IPv6 has no sum of its own to make up for the change. */
		bpf_csum_update(skb, ~(__u32)bpf_htons(1));
	} else if (header + sizeof(struct iphdr) <= data_end && packet->family == 4) {
		take_hop(header);
	} else {
		return false;
	}
	return true;
}

/*
 * Hands a packet for which can_deliver() holds to a pod, as if it came from the pod's gateway. One that was sent to the
 * node itself is not forwarded by that: it keeps its hops, and may have none left.
 */
static __always_inline int deliver(struct __sk_buff *skb, const struct packet *packet, const struct pod *to)
{
	struct ethhdr *ethernet;

	if (packet->translation != TRANSLATION_DONE && !take_one_hop(skb, packet))
		return TC_ACT_SHOT;
	ethernet = (void *)(long)skb->data;
	if ((void *)(ethernet + 1) > (void *)(long)skb->data_end)
		return TC_ACT_SHOT;
	__builtin_memcpy(ethernet->h_dest, to->mac, ETH_ALEN);
	__builtin_memcpy(ethernet->h_source, to->gateway_mac, ETH_ALEN);
	return bpf_redirect_peer(to->ifindex, 0);
}

#endif
