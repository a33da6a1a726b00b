/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Connections this node opened, so that a default drop spares their replies (docs/xdp-policy.md §8). */
#ifndef SLUICE_CONNECTIONS_H
#define SLUICE_CONNECTIONS_H

#include "maps.h"
#include "packet.h"
#include "parse.h"

enum {
	ICMP_ECHO_REPLY = 0,
	ICMP_UNREACHABLE = 3,
	ICMP_ECHO = 8,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETER = 12,
	ICMPV6_UNREACHABLE = 1,
	ICMPV6_PARAMETER = 4,
	ICMPV6_ECHO = 128,
	ICMPV6_ECHO_REPLY = 129,
};

#define SECOND_NS 1000000000ULL
#define CLOSING_NS (60 * SECOND_NS)
/* An entry is refreshed at most this often: one store per packet would bounce the line between CPUs. */
#define CONNECTION_REFRESH_NS SECOND_NS

static __always_inline bool connection_alive(const struct connection_key *key)
{
	struct connection *connection = bpf_map_lookup_elem(&connections, key);

	return connection && bpf_ktime_get_ns() - connection->last_out_ns < connection->lifetime_ns;
}

static __always_inline bool echo_of(const struct packet *packet, __u8 v4_type, __u8 v6_type)
{
	return packet->detail >> 8 == (packet->family == 4 ? v4_type : v6_type);
}

static __always_inline bool is_icmp(const struct packet *packet)
{
	return packet->protocol == (packet->family == 4 ? PROTO_ICMP : PROTO_ICMPV6);
}

static __always_inline bool is_icmp_error(const struct packet *packet)
{
	__u8 type = packet->detail >> 8;

	if (packet->family == 4)
		return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER;
	return type >= ICMPV6_UNREACHABLE && type <= ICMPV6_PARAMETER;
}

/* Reads the packet inside an ICMP error: local is its source. False when it cannot be told. */
static __always_inline bool read_quoted(context *ctx, const struct packet *packet, struct connection_key *key)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	__u32 offset = packet->transport_offset;

	/* 802.1ad + 802.1Q + IPv6 with its headers; the verifier needs a bound. */
	if (offset > 2048)
		return false;
	data += offset + sizeof(struct icmp_header);
	if (packet->family == 4) {
		struct iphdr *ip = data;

		if (data + sizeof(*ip) > data_end || ip->ihl < 5)
			return false;
		key->local[0] = ip->saddr;
		key->remote[0] = ip->daddr;
		key->protocol = ip->protocol;
		if (ip->frag_off & bpf_htons(0x1fff))
			return false;
		data += ip->ihl * 4;
	} else {
		struct ipv6hdr *ip = data;

		if (data + sizeof(*ip) > data_end)
			return false;
		__builtin_memcpy(key->local, &ip->saddr, 16);
		__builtin_memcpy(key->remote, &ip->daddr, 16);
		key->protocol = ip->nexthdr;
		data += sizeof(*ip);
	}

	__be16 *ports = data;

	if (data + 8 > data_end)
		return false;
	if (key->protocol == PROTO_ICMP || key->protocol == PROTO_ICMPV6)
		key->local_port = key->remote_port = bpf_ntohs(ports[2]);
	else if (key->protocol == PROTO_TCP || key->protocol == PROTO_UDP || key->protocol == PROTO_SCTP) {
		key->local_port = bpf_ntohs(ports[0]);
		key->remote_port = bpf_ntohs(ports[1]);
	}
	return true;
}

static __noinline bool established(context *ctx, const struct packet *packet)
{
	struct connection_key key = { .family = packet->family, .protocol = packet->protocol };

	if (packet->fragment == FRAGMENT_LATER)
		return false;
	if (is_icmp(packet)) {
		/* What it quotes left this node. */
		if (is_icmp_error(packet))
			return read_quoted(ctx, packet, &key) && connection_alive(&key);
		if (!echo_of(packet, ICMP_ECHO_REPLY, ICMPV6_ECHO_REPLY))
			return false;
	}
	__builtin_memcpy(key.local, packet->destination, 16);
	__builtin_memcpy(key.remote, packet->source, 16);
	key.local_port = packet->destination_port;
	key.remote_port = packet->source_port;
	return connection_alive(&key);
}

/* Called for what leaves by a judged interface. */
static __always_inline void remember_connection(const struct packet *packet)
{
	struct connection_key key = { .family = packet->family, .protocol = packet->protocol };
	struct connection *seen, fresh = { .lifetime_ns = 120 * SECOND_NS };
	__u8 flags = packet->detail;

	if (packet->fragment == FRAGMENT_LATER)
		return;
	if (is_icmp(packet) && !echo_of(packet, ICMP_ECHO, ICMPV6_ECHO))
		return;
	if (packet->protocol == PROTO_TCP) {
		if (flags & (TCP_FIN | TCP_RST))
			fresh.lifetime_ns = CLOSING_NS;
		else
			fresh.lifetime_ns = 3600 * SECOND_NS;
	}
	__builtin_memcpy(key.local, packet->source, 16);
	__builtin_memcpy(key.remote, packet->destination, 16);
	key.local_port = packet->source_port;
	key.remote_port = packet->destination_port;
	fresh.last_out_ns = bpf_ktime_get_ns();

	seen = bpf_map_lookup_elem(&connections, &key);
	if (seen) {
		/* What follows a FIN out, down to the last acknowledgement, opens nothing again; a new SYN does. */
		if (packet->protocol == PROTO_TCP && seen->lifetime_ns == CLOSING_NS && !(flags & TCP_SYN))
			fresh.lifetime_ns = CLOSING_NS;
		if (fresh.last_out_ns - seen->last_out_ns > CONNECTION_REFRESH_NS ||
		    fresh.lifetime_ns != seen->lifetime_ns) {
			seen->last_out_ns = fresh.last_out_ns;
			seen->lifetime_ns = fresh.lifetime_ns;
		}
		return;
	}
	/* A server's SYN-ACK or reset answers somebody else's connection: a flood of SYNs to an open port
	 * must not wash the node's own connections out of the table. */
	if (packet->protocol == PROTO_TCP &&
	    ((flags & TCP_RST) || (flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK)))
		return;
	bpf_map_update_elem(&connections, &key, &fresh, BPF_ANY);
}

#endif
