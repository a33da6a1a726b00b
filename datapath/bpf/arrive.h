/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What comes in from outside of the node: nearly all of it is for the node itself, and must not be held up. */
#ifndef SLUICE_ARRIVE_H
#define SLUICE_ARRIVE_H

#include <linux/if_packet.h>
#include "parse.h"
#include "pods.h"
#include "skb.h"

/* Source, destination and protocol, and nothing else yet. False when the packet is of no interest to pods. */
static __always_inline bool read_addresses(struct __sk_buff *skb, struct pod_key *source,
					   struct pod_key *destination, __u8 *protocol)
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
		*protocol = ipv4->protocol;
		return true;
	}
	if (skb->protocol == bpf_htons(ETH_P_IPV6) && (void *)(ipv6 + 1) <= data_end) {
		source->family = destination->family = 6;
		__builtin_memcpy(source->address, &ipv6->saddr, 16);
		__builtin_memcpy(destination->address, &ipv6->daddr, 16);
		*protocol = ipv6->nexthdr;
		return true;
	}
	return false;
}

/*
 * What comes from outside of the cluster and opens a connection for conntrack with whatever is its first packet: unless
 * the stack sees it, the pod's answer is taken for that, and masqueraded. Answers of the other protocols are no first packets.
 */
static __always_inline bool has_to_be_seen(const struct pod_key *source, __u8 protocol)
{
	if (protocol == PROTO_TCP || protocol == PROTO_SCTP || protocol == PROTO_ICMP || protocol == PROTO_ICMPV6)
		return false;
	return !pod_route_to(source->family, source->address);
}

/*
 * Nobody out there has this node's own address, and pods of other nodes that are behind a tunnel come out of it. The
 * stack, which would look at its routes for that, is not asked about what goes straight to a pod.
 */
static __always_inline bool is_from_elsewhere(__u32 ifindex, const struct pod_key *source)
{
	const struct pod_route *route;

	if (bpf_map_lookup_elem(&node_addresses, source))
		return false;
	route = pod_route_to(source->family, source->address);
	return !route || !(route->flags & POD_ROUTE_TUNNEL) || route->ifindex == ifindex;
}

enum arrival {
	/* Not for a pod, as far as is known: nothing is done about it. */
	ARRIVES_FOR_OTHERS,
	ARRIVES_FOR_POD,
	/* At an address of the node, of which some ports are pods'. */
	ARRIVES_FOR_NODE,
	/* In the name of a local pod, which sends by its own veth. */
	ARRIVES_AS_POD,
	/* For a pod, from where its sender cannot be. */
	ARRIVES_ASTRAY,
};

/*
 * enum arrival. The packet has its destination by that, if it is a pod. Returns before it is judged: its frame is not
 * added to those of the judges.
 */
__noinline int arrival_of(struct __sk_buff *skb, struct packet *packet)
{
	struct pod_key source = {}, destination = {};
	const struct node_address *own;
	__u8 protocol = 0;

	if (!packet || !read_addresses(skb, &source, &destination, &protocol))
		return ARRIVES_FOR_OTHERS;
	if (bpf_map_lookup_elem(&pods, &source))
		return ARRIVES_AS_POD;
	if (bpf_map_lookup_elem(&pods, &destination)) {
		packet->family = destination.family;
		__builtin_memcpy(packet->destination, destination.address, 16);
		if (!is_from_elsewhere(skb->ifindex, &source))
			return ARRIVES_ASTRAY;
		return has_to_be_seen(&source, protocol) ? ARRIVES_FOR_OTHERS : ARRIVES_FOR_POD;
	}
	own = bpf_map_lookup_elem(&node_addresses, &destination);
	if (own && own->host_ports && skb->pkt_type == PACKET_HOST && is_from_elsewhere(skb->ifindex, &source))
		return ARRIVES_FOR_NODE;
	return ARRIVES_FOR_OTHERS;
}

#endif
