/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flows that the policies have allowed (docs/pods.md). A flow has two ends: the egress policies of the pod that opened
 * it, the ingress policies of the pod that it was opened to. What this node has asked of them stands in `out` and `in`.
 * A packet looks for its own addresses and ports, then for them turned around: then it is a reply, and what counts is
 * the judgement on the packet that it answers.
 */
#ifndef SLUICE_FLOWS_H
#define SLUICE_FLOWS_H

#include "connections.h"
#include "generation.h"
#include "skb.h"

/* Pod programs write and read, agent deletes what is over: flows by who opened them. A full table forgets the flow
 * that was quiet for longest, and its next packet is judged like a first one. */
LRU_HASH(flows, struct connection_key, struct flow, MAX_FLOWS);
/* Pod programs write, agent sums: what is not to be seen in a table that forgets. */
PERCPU_ARRAY(flow_counters, struct flow_counts, 1);
/* Agent writes and reads back after a restart; programs never read. */
MMAPPED_ARRAY(flow_collections, struct flow_collection, 1);

enum flow_state {
	/* The policies of this end have not allowed it yet. */
	FLOW_NONE,
	FLOW_ALLOWED,
	/* They did, but the rules have changed since. */
	FLOW_STALE,
	FLOW_REPLY_STALE,
	/* Another flow has become the same by translation: this one cannot be told from it. */
	FLOW_CLASH,
	/* An ICMP error about a packet of such a flow: it goes the way of the flow, or of its answers. */
	FLOW_ERROR_STALE,
	FLOW_ERROR_REPLY_STALE,
};

/* Ethernet, IPv6 and an ICMP error, which quotes IPv4 with options and eight bytes: as much as is ever read. */
enum { QUOTED_BYTES = 14 + 40 + 8 + 60 + 8 };

static __always_inline void make_flow_key(const struct packet *packet, struct connection_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	__builtin_memcpy(key->local, packet->source, 16);
	__builtin_memcpy(key->remote, packet->destination, 16);
	key->local_port = packet->source_port;
	key->remote_port = packet->destination_port;
	key->protocol = packet->protocol;
	key->family = packet->family;
}

static __always_inline void turn_key(struct connection_key *key)
{
	struct connection_key other = *key;

	__builtin_memcpy(key->local, other.remote, 16);
	__builtin_memcpy(key->remote, other.local, 16);
	key->local_port = other.remote_port;
	key->remote_port = other.local_port;
}

static __always_inline bool is_first_syn(const struct packet *packet)
{
	return packet->protocol == PROTO_TCP && (packet->detail & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* The same port may be used anew after the end of a connection. */
static __always_inline bool is_over(const struct flow *flow, const struct packet *packet, __u64 now)
{
	enum { FIN_BOTH = FLOW_FIN_FORTH | FLOW_FIN_BACK };

	/* Signed: another CPU may have seen a later packet. */
	if ((__s64)(now - flow->last_ns) > (__s64)(flow->lifetime_s * SECOND_NS))
		return true;
	return is_first_syn(packet) &&
	       ((flow->flags & FLOW_RESET) || (flow->flags & FIN_BOTH) == FIN_BOTH);
}

static __always_inline __u32 flow_lifetime(const struct packet *packet, __u32 flags)
{
	enum { FIN_BOTH = FLOW_FIN_FORTH | FLOW_FIN_BACK };

	if (packet->protocol == PROTO_TCP) {
		if ((flags & FLOW_RESET) || (flags & FIN_BOTH) == FIN_BOTH)
			return FLOW_TCP_CLOSED_SECONDS;
		return (flags & FLOW_REPLIED) ? FLOW_TCP_SECONDS : FLOW_TCP_OPENING_SECONDS;
	}
	if (packet->protocol == PROTO_UDP)
		return (flags & FLOW_REPLIED) ? FLOW_UDP_REPLIED_SECONDS : FLOW_UDP_SECONDS;
	return is_icmp(packet) ? FLOW_ICMP_SECONDS : FLOW_OTHER_SECONDS;
}

/* A packet that meets the policies of two pods is one packet of its flow. */
static __always_inline void count_in_flow(struct flow *flow, struct packet *packet, bool reply, __u64 now)
{
	__u32 flags = flow->flags;

	if (packet->in_flow)
		return;
	packet->in_flow = true;
	__sync_fetch_and_add(reply ? &flow->packets_back : &flow->packets_forth, 1);
	__sync_fetch_and_add(reply ? &flow->bytes_back : &flow->bytes_forth, packet->length);
	if (reply)
		flags |= FLOW_REPLIED;
	if (packet->protocol == PROTO_TCP) {
		if (packet->detail & TCP_FIN)
			flags |= reply ? FLOW_FIN_BACK : FLOW_FIN_FORTH;
		if (packet->detail & TCP_RST)
			flags |= FLOW_RESET;
	}
	flow->flags = flags;
	flow->lifetime_s = flow_lifetime(packet, flags);
	flow->last_ns = now;
}

/* `forth`: what passes goes the way of the packet that opened the flow. */
static __always_inline const struct flow_judgement *judgement_at(const struct flow *flow, __u8 stage,
								 bool forth)
{
	return (stage == STAGE_OUT) == forth ? &flow->out : &flow->in;
}

static __always_inline int error_state(const struct flow *flow, const struct packet *packet,
				       const struct generation *generation, bool forth)
{
	const struct flow_judgement *judgement = judgement_at(flow, packet->stage, forth);

	if (!judgement->generation)
		return FLOW_NONE;
	if (judgement->generation == generation->number)
		return FLOW_ALLOWED;
	return forth ? FLOW_ERROR_STALE : FLOW_ERROR_REPLY_STALE;
}

/* What goes to the one who opened a translated flow is to be what he expects. */
static __always_inline void translate_as_answer(struct packet *packet, const struct flow *flow)
{
	if (!(flow->flags & FLOW_TRANSLATED))
		return;
	packet->translation = TRANSLATION_BACK;
	packet->opened_as = flow->opened_as;
}

/* Two flows may have become one by translation: then only the first of them goes on. */
static __always_inline bool is_clash(const struct packet *packet, const struct flow *flow)
{
	const struct endpoints *ours = &packet->opened_as, *theirs = &flow->opened_as;

	if (packet->tracing)
		return false;
	if (!(flow->flags & FLOW_TRANSLATED))
		return packet->translation == TRANSLATION_DONE;
	return packet->translation != TRANSLATION_DONE || ours->source_port != theirs->source_port ||
	       ours->destination_port != theirs->destination_port ||
	       !same_address(ours->source, theirs->source) ||
	       !same_address(ours->destination, theirs->destination);
}

/* An error answers a packet of a flow: it passes where a packet of the flow would. */
static __always_inline int find_quoted_flow(struct __sk_buff *skb, struct packet *packet,
					    const struct generation *generation)
{
	struct connection_key key = { .family = packet->family };
	__u64 now = bpf_ktime_get_ns();
	struct flow *flow;
	int state;

	reach(skb, QUOTED_BYTES);
	if (!read_quoted(skb, packet, &key) || !same_address(key.local, packet->destination))
		return FLOW_NONE;
	/* The error goes against the packet that it quotes. */
	flow = bpf_map_lookup_elem(&flows, &key);
	if (flow && !is_over(flow, packet, now)) {
		state = error_state(flow, packet, generation, false);
		if (state != FLOW_NONE) {
			translate_as_answer(packet, flow);
			return state;
		}
	}
	turn_key(&key);
	flow = bpf_map_lookup_elem(&flows, &key);
	if (flow && !is_over(flow, packet, now))
		return error_state(flow, packet, generation, true);
	return FLOW_NONE;
}

/*
 * Puts the packet that opened the flow in the place of an error: for the policies that are asked about it. A global
 * function: its frame is not added to theirs.
 */
__noinline int become_quoted(struct __sk_buff *skb, struct packet *packet, __u32 state)
{
	struct connection_key key = {};

	if (!packet)
		return false;
	key.family = packet->family;
	if (!read_quoted(skb, packet, &key))
		return false;
	if (state == FLOW_ERROR_STALE)
		turn_key(&key);
	else
		packet->stage = packet->stage == STAGE_OUT ? STAGE_IN : STAGE_OUT;
	__builtin_memcpy(packet->source, key.local, 16);
	__builtin_memcpy(packet->destination, key.remote, 16);
	packet->source_port = key.local_port;
	packet->destination_port = key.remote_port;
	packet->protocol = key.protocol;
	packet->has_ports = key.protocol == PROTO_TCP || key.protocol == PROTO_UDP || key.protocol == PROTO_SCTP;
	packet->detail = 0;
	if (key.protocol == PROTO_TCP)
		packet->detail = TCP_ACK;
	else if (is_icmp(packet))
		packet->detail = (packet->family == 4 ? ICMP_ECHO : ICMPV6_ECHO) << 8;
	/* Errors neither count in their flow nor keep it. */
	packet->in_flow = true;
	return true;
}

/* enum flow_state at this packet's stage. An allowed packet is counted in its flow. */
__noinline int find_flow(struct __sk_buff *skb, struct packet *packet)
{
	const struct flow_judgement *judgement;
	const struct generation *generation;
	bool asks = true, answers = true;
	struct connection_key key;
	struct flow *flow;
	__u64 now;

	if (!packet)
		return FLOW_NONE;
	generation = generation_of(packet);
	if (!generation || packet->fragment == FRAGMENT_LATER)
		return FLOW_NONE;
	if (is_icmp(packet)) {
		if (is_icmp_error(packet))
			return find_quoted_flow(skb, packet, generation);
		asks = echo_of(packet, ICMP_ECHO, ICMPV6_ECHO);
		answers = echo_of(packet, ICMP_ECHO_REPLY, ICMPV6_ECHO_REPLY);
	} else if (is_first_syn(packet)) {
		answers = false;
	}
	now = bpf_ktime_get_ns();
	make_flow_key(packet, &key);
	flow = asks ? bpf_map_lookup_elem(&flows, &key) : NULL;
	if (flow && !is_over(flow, packet, now)) {
		if (is_clash(packet, flow))
			return FLOW_CLASH;
		judgement = judgement_at(flow, packet->stage, true);
		if (!judgement->generation)
			return FLOW_NONE;
		if (judgement->generation != generation->number)
			return FLOW_STALE;
		packet->slot = judgement->slot;
		count_in_flow(flow, packet, false, now);
		return FLOW_ALLOWED;
	}
	turn_key(&key);
	flow = answers ? bpf_map_lookup_elem(&flows, &key) : NULL;
	if (!flow || is_over(flow, packet, now))
		return FLOW_NONE;
	judgement = judgement_at(flow, packet->stage, false);
	if (!judgement->generation && !(flow->flags & FLOW_TO_ITSELF))
		return FLOW_NONE;
	translate_as_answer(packet, flow);
	if (judgement->generation != generation->number && !(flow->flags & FLOW_TO_ITSELF))
		return FLOW_REPLY_STALE;
	count_in_flow(flow, packet, true, now);
	return FLOW_ALLOWED;
}

/* The packet as the other side of its flow sent it, or back. */
static __always_inline void turn_around(struct packet *packet)
{
	__u32 address[4];
	__u16 port = packet->source_port;

	__builtin_memcpy(address, packet->source, 16);
	__builtin_memcpy(packet->source, packet->destination, 16);
	__builtin_memcpy(packet->destination, address, 16);
	packet->source_port = packet->destination_port;
	packet->destination_port = port;
	packet->stage = packet->stage == STAGE_OUT ? STAGE_IN : STAGE_OUT;
	if (is_icmp(packet)) {
		bool asks = echo_of(packet, ICMP_ECHO, ICMPV6_ECHO);

		if (packet->family == 4)
			packet->detail = (asks ? ICMP_ECHO_REPLY : ICMP_ECHO) << 8;
		else
			packet->detail = (asks ? ICMPV6_ECHO_REPLY : ICMPV6_ECHO) << 8;
	}
}

/* An answer, a reset or an error opens nothing. */
static __always_inline bool opens_flow(const struct packet *packet)
{
	if (packet->fragment == FRAGMENT_LATER)
		return false;
	if (is_icmp(packet))
		return echo_of(packet, ICMP_ECHO, ICMPV6_ECHO);
	return packet->protocol != PROTO_TCP || !(packet->detail & TCP_RST);
}

/*
 * Keeps what the policies said of a packet that goes the way of its flow, or was turned around to. A row is replaced
 * and not changed: it may have become another flow's since it was looked up.
 */
__noinline int settle_flow(struct packet *packet, __u32 state)
{
	const struct generation *generation;
	struct connection_key key;
	struct flow_judgement judgement;
	struct flow flow = {};
	const struct flow *known;
	struct flow_counts *counts;
	__u64 now = bpf_ktime_get_ns();
	__u32 zero = 0;

	if (!packet)
		return 0;
	generation = generation_of(packet);
	if (!generation)
		return 0;
	make_flow_key(packet, &key);
	counts = bpf_map_lookup_elem(&flow_counters, &zero);
	if (!counts)
		return 0;
	if (packet->verdict != VERDICT_PASS) {
		if (state != FLOW_NONE && !bpf_map_delete_elem(&flows, &key))
			counts->refused++;
		return 0;
	}
	if (state == FLOW_NONE && !opens_flow(packet))
		return 0;
	known = bpf_map_lookup_elem(&flows, &key);
	if (known && !is_over(known, packet, now)) {
		flow = *known;
	} else {
		flow.created_ns = now;
		if (packet->translation != TRANSLATION_NONE) {
			flow.flags = FLOW_TRANSLATED;
			flow.opened_as = packet->opened_as;
		}
		if (packet->translation == TRANSLATION_DONE && (packet->traits & TRAIT_SAME_ADDRESS))
			flow.flags |= FLOW_TO_ITSELF;
	}
	judgement.generation = generation->number;
	judgement.slot = packet->slot;
	if (packet->stage == STAGE_OUT)
		flow.out = judgement;
	else
		flow.in = judgement;
	count_in_flow(&flow, packet, state == FLOW_REPLY_STALE, now);
	if (bpf_map_update_elem(&flows, &key, &flow, BPF_ANY))
		counts->homeless++;
	else if (!known)
		counts->opened++;
	return 0;
}

#endif
