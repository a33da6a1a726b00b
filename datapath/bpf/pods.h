/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The local pods, and what a pod may send as (docs/pods.md). */
#ifndef SLUICE_PODS_H
#define SLUICE_PODS_H

#include "connections.h"
#include "maps.h"
#include "packet.h"

/* Agent writes, programs read: whose veth it is. A pod without a row can neither send nor receive. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PODS);
	__type(key, __u32);
	__type(value, struct pod_interface);
} pod_interfaces SEC(".maps");

/* Agent writes, pod_out and pod_arrive read: which addresses are local pods. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_POD_ADDRESSES);
	__type(key, struct pod_key);
	__type(value, struct pod);
} pods SEC(".maps");

/* Agent writes, pod_out and pod_arrive read: the node's own addresses, which nobody else may send from. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_NODE_ADDRESSES);
	__type(key, struct pod_key);
	__type(value, struct node_address);
} node_addresses SEC(".maps");

/* Agent writes, programs read: where the pods of other nodes are. A trie allocates by need only. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_POD_ROUTES);
	__type(key, struct pod_route_key);
	__type(value, struct pod_route);
} pod_routes SEC(".maps");

static __always_inline const struct pod_interface *pod_behind(__u32 ifindex)
{
	return bpf_map_lookup_elem(&pod_interfaces, &ifindex);
}

/* Not inlined, as the next one: keys on the stack of a caller add to the frames of all that judges. */
static __noinline const struct pod *pod_at(__u32 family, const __u32 *address)
{
	struct pod_key key = { .family = family };

	__builtin_memcpy(key.address, address, sizeof(key.address));
	return bpf_map_lookup_elem(&pods, &key);
}

/* The local pod that a packet goes to. */
static __always_inline const struct pod *pod_at_destination(const struct packet *packet)
{
	return pod_at(packet->family, packet->destination);
}

/* The range of another node's pods that an address is in. */
static __noinline const struct pod_route *pod_route_to(__u32 family, const __u32 *address)
{
	struct pod_route_key key = { .prefix_bits = family == 4 ? 32 + 32 : 32 + 128, .family = family };

	__builtin_memcpy(key.address, address, sizeof(key.address));
	return bpf_map_lookup_elem(&pod_routes, &key);
}

/* The addresses that the pod was given, and no others. */
static __always_inline bool is_from_pod(const struct packet *packet, const struct pod_interface *pod)
{
	if (packet->family == 4)
		return pod->ipv4 && packet->source[0] == pod->ipv4;
	if (!(pod->ipv6[0] | pod->ipv6[1] | pod->ipv6[2] | pod->ipv6[3]))
		return false;
	return same_address(packet->source, pod->ipv6);
}

/* fe80::/10 */
static __always_inline bool is_link_local(const __u32 *address)
{
	return (address[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/*
 * What IPv6 needs between a pod and its node: solicitations, neighbour advertisements and reports of multicast
 * groups, from an address of the link to one of the link. Routers do not forward these.
 */
static __always_inline bool is_link_control(const struct packet *packet, const struct pod_interface *pod)
{
	enum {
		MULTICAST_REPORT = 131,
		MULTICAST_DONE = 132,
		ROUTER_SOLICITATION = 133,
		NEIGHBOUR_SOLICITATION = 135,
		NEIGHBOUR_ADVERTISEMENT = 136,
		MULTICAST_REPORT_V2 = 143,
	};
	const __u32 *source = packet->source;

	if (packet->family != 6 || packet->protocol != PROTO_ICMPV6 || packet->fragment != FRAGMENT_WHOLE)
		return false;
	switch (packet->detail >> 8) {
	case MULTICAST_REPORT:
	case MULTICAST_DONE:
	case ROUTER_SOLICITATION:
	case NEIGHBOUR_SOLICITATION:
	case NEIGHBOUR_ADVERTISEMENT:
	case MULTICAST_REPORT_V2:
		break;
	default:
		return false;
	}
	/* ff02::/16 */
	if (!is_link_local(packet->destination) && bpf_ntohl(packet->destination[0]) >> 16 != 0xff02)
		return false;
	return is_link_local(source) || is_from_pod(packet, pod) ||
	       !(source[0] | source[1] | source[2] | source[3]);
}

#endif
