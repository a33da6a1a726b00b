/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ports of the node that stand for pods (docs/pods.md). A packet is translated before it is judged, so policies see the
 * pod that it goes to and who sent it. Its flow is kept under what it became, with what it was: answers, and errors
 * about it, are translated back when they pass. Later fragments become what their first one did.
 */
#ifndef SLUICE_TRANSLATE_H
#define SLUICE_TRANSLATE_H

#include "flows.h"
#include "fragments.h"
#include "rewrite.h"

/* Agent writes, programs read. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_HOST_PORTS);
	__type(key, struct host_port_key);
	__type(value, struct host_port);
} host_ports SEC(".maps");

/* Programs write and read. */
LRU_HASH(translated_fragments, struct fragment_key, struct translated_fragment, MAX_TRANSLATED_FRAGMENTS);

enum translated {
	NOT_TRANSLATED,
	TRANSLATED,
	/* Half of it may have been written. */
	SPOILT,
};

enum { SOCKET_ESTABLISHED = 1, SOCKET_LISTENS = 10 };

static __always_inline const struct host_port *host_port_of(const __u32 *address, __u8 family, __u8 protocol,
							    __u16 port)
{
	struct host_port_key key = { .port = port, .protocol = protocol, .family = family };

	__builtin_memcpy(key.address, address, sizeof(key.address));
	return bpf_map_lookup_elem(&host_ports, &key);
}

/* Whether a packet goes to an address of the node of which some ports are pods'. */
static __noinline bool goes_to_host_ports(const struct packet *packet)
{
	const struct node_address *own;
	struct pod_key key = { .family = packet->family };

	__builtin_memcpy(key.address, packet->destination, sizeof(key.address));
	own = bpf_map_lookup_elem(&node_addresses, &key);
	return own && own->host_ports;
}

static __always_inline void read_packet_endpoints(const struct packet *packet, struct endpoints *found)
{
	__builtin_memcpy(found->source, packet->source, 16);
	__builtin_memcpy(found->destination, packet->destination, 16);
	found->source_port = packet->source_port;
	found->destination_port = packet->destination_port;
}

static __always_inline void become(struct packet *packet, const struct endpoints *to)
{
	__builtin_memcpy(packet->source, to->source, 16);
	__builtin_memcpy(packet->destination, to->destination, 16);
	packet->source_port = to->source_port;
	packet->destination_port = to->destination_port;
}

/* A later fragment: as its first. Global functions here and below, so that their frames do not add up. */
__noinline int translate_fragment(struct __sk_buff *skb, struct packet *packet)
{
	struct translated_fragment *first;
	struct endpoints became;
	struct fragment_key key;

	if (!packet)
		return NOT_TRANSLATED;
	make_fragment_key(packet, &key);
	key.stage = STAGE_UPLINK;
	first = bpf_map_lookup_elem(&translated_fragments, &key);
	if (!first || bpf_ktime_get_ns() > first->until_ns)
		return NOT_TRANSLATED;
	became = first->became;
	if (!write_endpoints(skb, packet, &became))
		return SPOILT;
	__builtin_memcpy(packet->source, became.source, 16);
	__builtin_memcpy(packet->destination, became.destination, 16);
	packet->translation = TRANSLATION_DONE;
	return TRANSLATED;
}

/* Of a first fragment, before it becomes that. */
static __noinline void remember_translation(const struct packet *packet, const struct endpoints *became)
{
	struct fragment_key key;

	struct translated_fragment first = {
		.until_ns = bpf_ktime_get_ns() + FRAGMENT_MEMORY_NS,
		.became = *became,
	};

	make_fragment_key(packet, &key);
	/* One for all stages. */
	key.stage = STAGE_UPLINK;
	bpf_map_update_elem(&translated_fragments, &key, &first, BPF_ANY);
}

/*
 * A program of the node may have opened a connection from a port that is a pod's, too: its answers are its own. Whether
 * they are is asked of what opens no connection and is of no flow that is known.
 */
static __noinline bool is_answer_to_node(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *socket;
	bool is_own;
	__u32 size;

	if (packet->family == 4) {
		size = sizeof(tuple.ipv4);
		tuple.ipv4.saddr = packet->source[0];
		tuple.ipv4.daddr = packet->destination[0];
		tuple.ipv4.sport = bpf_htons(packet->source_port);
		tuple.ipv4.dport = bpf_htons(packet->destination_port);
	} else {
		size = sizeof(tuple.ipv6);
		__builtin_memcpy(tuple.ipv6.saddr, packet->source, 16);
		__builtin_memcpy(tuple.ipv6.daddr, packet->destination, 16);
		tuple.ipv6.sport = bpf_htons(packet->source_port);
		tuple.ipv6.dport = bpf_htons(packet->destination_port);
	}
	if (packet->protocol == PROTO_TCP)
		socket = bpf_sk_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	else if (packet->protocol == PROTO_UDP)
		socket = bpf_sk_lookup_udp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	else
		return false;
	if (!socket)
		return false;
	is_own = packet->protocol == PROTO_TCP ? socket->state != SOCKET_LISTENS :
						 socket->state == SOCKET_ESTABLISHED;
	bpf_sk_release(socket);
	return is_own;
}

static __noinline bool is_of_known_flow(const struct packet *packet, const struct endpoints *became)
{
	struct connection_key key = {
		.local_port = became->source_port,
		.remote_port = became->destination_port,
		.protocol = packet->protocol,
		.family = packet->family,
	};
	const struct flow *flow;

	__builtin_memcpy(key.local, became->source, 16);
	__builtin_memcpy(key.remote, became->destination, 16);
	flow = bpf_map_lookup_elem(&flows, &key);
	return flow && (flow->flags & FLOW_TRANSLATED) && !is_over(flow, packet, bpf_ktime_get_ns());
}

/* A router's, or a client's, error about an answer that went out in the name of the node. */
__noinline int translate_error(struct __sk_buff *skb, struct packet *packet)
{
	struct connection_key quoted = {};
	const struct host_port *pod;
	struct endpoints became;

	if (!packet)
		return NOT_TRANSLATED;
	quoted.family = packet->family;
	reach(skb, QUOTED_BYTES);
	if (!read_quoted(skb, packet, &quoted) || !same_address(quoted.local, packet->destination))
		return NOT_TRANSLATED;
	pod = host_port_of(quoted.local, packet->family, quoted.protocol, quoted.local_port);
	if (!pod)
		return NOT_TRANSLATED;
	__builtin_memcpy(became.source, pod->address, 16);
	__builtin_memcpy(became.destination, quoted.remote, 16);
	became.source_port = pod->port;
	became.destination_port = quoted.remote_port;
	if (!write_quoted(skb, packet, &became))
		return SPOILT;
	__builtin_memcpy(became.destination, became.source, 16);
	__builtin_memcpy(became.source, packet->source, 16);
	if (!write_endpoints(skb, packet, &became))
		return SPOILT;
	__builtin_memcpy(packet->destination, became.destination, 16);
	return TRANSLATED;
}

/* enum translated: of a packet to one of the node's addresses. */
__noinline int translate_forth(struct __sk_buff *skb, struct packet *packet)
{
	const struct host_port *pod;
	struct endpoints became;

	if (!packet)
		return NOT_TRANSLATED;
	if (packet->fragment == FRAGMENT_LATER)
		return translate_fragment(skb, packet);
	if (is_icmp(packet))
		return is_icmp_error(packet) ? translate_error(skb, packet) : NOT_TRANSLATED;
	if (!packet->has_ports)
		return NOT_TRANSLATED;
	pod = host_port_of(packet->destination, packet->family, packet->protocol, packet->destination_port);
	if (!pod)
		return NOT_TRANSLATED;
	read_packet_endpoints(packet, &became);
	__builtin_memcpy(became.destination, pod->address, 16);
	became.destination_port = pod->port;
	/* A pod that comes back to itself would take its own address for a forgery. */
	if (same_address(became.source, became.destination)) {
		packet->traits |= TRAIT_SAME_ADDRESS;
		__builtin_memcpy(became.source, packet->destination, 16);
	}
	if (!is_first_syn(packet) && !is_of_known_flow(packet, &became) && is_answer_to_node(skb, packet))
		return NOT_TRANSLATED;
	read_packet_endpoints(packet, &packet->opened_as);
	if (packet->fragment == FRAGMENT_FIRST && !packet->tracing)
		remember_translation(packet, &became);
	if (!write_endpoints(skb, packet, &became))
		return SPOILT;
	become(packet, &became);
	packet->translation = TRANSLATION_DONE;
	return TRANSLATED;
}

/* Whether a later fragment is of an answer that was translated back. */
static __always_inline void recall_answer(struct packet *packet)
{
	struct translated_fragment *first;
	struct fragment_key key;

	make_fragment_key(packet, &key);
	key.stage = STAGE_UPLINK;
	first = bpf_map_lookup_elem(&translated_fragments, &key);
	if (!first || bpf_ktime_get_ns() > first->until_ns)
		return;
	packet->translation = TRANSLATION_BACK;
	__builtin_memcpy(packet->opened_as.source, first->became.destination, 16);
	__builtin_memcpy(packet->opened_as.destination, first->became.source, 16);
}

/* What an answer, or an error about a packet of the flow, becomes for the one who opened it. False: it is spoilt. */
__noinline int translate_back(struct __sk_buff *skb, struct packet *packet)
{
	struct endpoints became;
	bool is_error;

	if (!packet)
		return false;
	is_error = is_icmp(packet) && packet->fragment != FRAGMENT_LATER;
	if (is_error && !write_quoted(skb, packet, &packet->opened_as))
		return false;
	__builtin_memcpy(became.source, packet->opened_as.destination, 16);
	__builtin_memcpy(became.destination, packet->opened_as.source, 16);
	became.source_port = packet->opened_as.destination_port;
	became.destination_port = packet->opened_as.source_port;
	if (packet->fragment == FRAGMENT_FIRST)
		remember_translation(packet, &became);
	if (!write_endpoints(skb, packet, &became))
		return false;
	become(packet, &became);
	return true;
}

#endif
