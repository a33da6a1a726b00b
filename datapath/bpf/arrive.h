/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What comes in from outside of the node: nearly all of it is for the node itself, and must not be held up. */
#ifndef SLUICE_ARRIVE_H
#define SLUICE_ARRIVE_H

#include <linux/if_packet.h>
#include "parse.h"
#include "pods.h"
#include "skb.h"

/* Source and destination, and nothing else yet. False when the packet is of no interest to pods. */
static __always_inline bool read_addresses(struct __sk_buff *skb, struct pod_key *source,
					   struct pod_key *destination)
{
	void *data, *data_end;
	struct ipv6hdr *ipv6;
	struct iphdr *ipv4;

	/* A tagged packet arrives once more, untagged, at the interface of its VLAN. */
	if (skb->pkt_type == PACKET_OTHERHOST || skb->vlan_present)
		return false;
	reach(skb, sizeof(struct ethhdr) + sizeof(*ipv6));
	data = (void *)(long)skb->data;
	data_end = (void *)(long)skb->data_end;
	ipv4 = data + sizeof(struct ethhdr);
	ipv6 = data + sizeof(struct ethhdr);
	if (skb->protocol == bpf_htons(ETH_P_IP) && (void *)(ipv4 + 1) <= data_end) {
		source->family = destination->family = 4;
		source->address[0] = ipv4->saddr;
		destination->address[0] = ipv4->daddr;
		return true;
	}
	if (skb->protocol == bpf_htons(ETH_P_IPV6) && (void *)(ipv6 + 1) <= data_end) {
		source->family = destination->family = 6;
		__builtin_memcpy(source->address, &ipv6->saddr, 16);
		__builtin_memcpy(destination->address, &ipv6->daddr, 16);
		return true;
	}
	return false;
}

/*
 * Nobody out there has this node's own address, and pods of other nodes that are behind a tunnel come out of it. The
 * stack, which would look at its routes for that, is not asked about what goes straight to a pod.
 */
static __always_inline bool is_from_elsewhere(const struct packet *packet, const struct pod_key *source)
{
	const struct pod_route *route;

	if (bpf_map_lookup_elem(&node_addresses, source))
		return false;
	route = pod_route_to(source->family, source->address);
	return !route || !(route->flags & POD_ROUTE_TUNNEL) || route->ifindex == packet->ifindex;
}

#endif
