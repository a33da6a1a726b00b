/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frame to struct packet. Every answer is in docs/xdp-policy.md §4; REASON_RULE means "go on".
 * A cursor walks the headers; nothing behind `end` (the IP length, never more than the frame) is read.
 */
#ifndef SLUICE_PARSE_H
#define SLUICE_PARSE_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include "packet.h"

struct vlan_header {
	__be16 tag;
	__be16 ether_type;
};

struct extension_header {
	__u8 next;
	/* In units of 8 bytes, without the first 8. */
	__u8 length;
	__be16 fragment_offset;
	__be32 fragment_id;
};

struct sctp_header {
	__be16 source;
	__be16 dest;
	__be32 tag;
	__be32 checksum;
};

struct icmp_header {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be16 id;
	__be16 sequence;
};

struct cursor {
	void *at;
	void *frame_end;
	/* Bytes of the IP packet left behind `at`, by its own length field. */
	__u32 left;
};

/* Next header of `size` bytes, or NULL when the frame or the IP packet ends before it. */
static __always_inline void *take(struct cursor *cursor, __u32 size)
{
	void *header = cursor->at;

	if (header + size > cursor->frame_end || cursor->left < size)
		return NULL;
	cursor->at = header + size;
	cursor->left -= size;
	return header;
}

static __always_inline bool tcp_flags_impossible(__u8 flags)
{
	if (!(flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)))
		return true;
	if ((flags & TCP_SYN) && (flags & (TCP_FIN | TCP_RST)))
		return true;
	if ((flags & TCP_FIN) && ((flags & TCP_RST) || !(flags & TCP_ACK)))
		return true;
	return (flags & (TCP_PSH | TCP_URG)) && !(flags & (TCP_ACK | TCP_SYN | TCP_RST));
}

static __always_inline enum reason parse_transport(struct packet *packet, struct cursor *cursor)
{
	if (packet->fragment == FRAGMENT_LATER)
		return REASON_RULE;

	__u32 left = cursor->left;

	switch (packet->protocol) {
	case PROTO_TCP: {
		struct tcphdr *tcp = take(cursor, sizeof(*tcp));

		if (!tcp || tcp->doff < 5)
			return REASON_TRUNCATED;
		if (packet->fragment == FRAGMENT_WHOLE && tcp->doff * 4u > left)
			return REASON_TRUNCATED;
		packet->source_port = bpf_ntohs(tcp->source);
		packet->destination_port = bpf_ntohs(tcp->dest);
		packet->detail = ((__u8 *)tcp)[13];
		packet->has_ports = true;
		if (tcp_flags_impossible(packet->detail))
			packet->traits |= TRAIT_IMPOSSIBLE_TCP_FLAGS;
		break;
	}
	case PROTO_UDP: {
		struct udphdr *udp = take(cursor, sizeof(*udp));

		if (!udp || bpf_ntohs(udp->len) < sizeof(*udp))
			return REASON_TRUNCATED;
		if (packet->fragment == FRAGMENT_WHOLE && bpf_ntohs(udp->len) > left)
			return REASON_TRUNCATED;
		packet->source_port = bpf_ntohs(udp->source);
		packet->destination_port = bpf_ntohs(udp->dest);
		packet->has_ports = true;
		break;
	}
	case PROTO_SCTP: {
		struct sctp_header *sctp = take(cursor, sizeof(*sctp));

		if (!sctp)
			return REASON_TRUNCATED;
		packet->source_port = bpf_ntohs(sctp->source);
		packet->destination_port = bpf_ntohs(sctp->dest);
		packet->has_ports = true;
		break;
	}
	case PROTO_ICMP:
	case PROTO_ICMPV6: {
		/* The other family's ICMP is just a protocol number: its header means nothing here. */
		if ((packet->protocol == PROTO_ICMP) != (packet->family == 4))
			break;
		struct icmp_header *icmp = take(cursor, sizeof(*icmp));

		if (!icmp)
			return REASON_TRUNCATED;
		packet->detail = icmp->type << 8 | icmp->code;
		packet->source_port = packet->destination_port = bpf_ntohs(icmp->id);
		break;
	}
	default:
		break;
	}
	if (packet->has_ports && (!packet->source_port || !packet->destination_port))
		packet->traits |= TRAIT_ZERO_PORT;
	return REASON_RULE;
}

/* 0.0.0.0 asking for DHCP is no martian; :: only speaks ICMPv6 before it has an address. */
static __always_inline bool martian_source(const struct packet *packet)
{
	if (packet->family == 4) {
		__u32 source = bpf_ntohl(packet->source[0]);
		__u8 first = source >> 24;

		if (!source && packet->protocol == PROTO_UDP && packet->has_ports &&
		    packet->destination_port == 67)
			return false;
		return first == 0 || first == 127 || first >= 224;
	}

	const __u32 *source = packet->source;

	if ((bpf_ntohl(source[0]) >> 24) == 0xff)
		return true;
	if (source[0] || source[1])
		return false;
	if (source[2] == bpf_htonl(0xffff))
		return true;
	if (source[2])
		return false;
	if (!source[3])
		return packet->protocol != PROTO_ICMPV6;
	return source[3] == bpf_htonl(1);
}

static __always_inline enum reason parse_ipv4(struct packet *packet, struct cursor *cursor, void *data)
{
	cursor->left = sizeof(struct iphdr);
	__u32 start = cursor->at - data;
	struct iphdr *ip = take(cursor, sizeof(*ip));

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return REASON_TRUNCATED;

	__u32 header = ip->ihl * 4;
	__u32 total = bpf_ntohs(ip->tot_len);

	if (total < header || total > packet->length - start)
		return REASON_TRUNCATED;
	packet->family = 4;
	packet->protocol = ip->protocol;
	packet->source[0] = ip->saddr;
	packet->destination[0] = ip->daddr;
	cursor->left = total - sizeof(*ip);
	if (header > sizeof(*ip)) {
		packet->traits |= TRAIT_IP_OPTIONS;
		cursor->left -= header - sizeof(*ip);
		cursor->at += header - sizeof(*ip);
	}

	__u16 fragment = bpf_ntohs(ip->frag_off);

	if (fragment & 0x3fff) {
		packet->traits |= TRAIT_FRAGMENT;
		packet->fragment = (fragment & 0x1fff) ? FRAGMENT_LATER : FRAGMENT_FIRST;
		packet->fragment_id = ip->id;
		packet->fragment_protocol = ip->protocol;
	}
	return REASON_RULE;
}

enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60 };

static __always_inline bool is_extension(__u8 next)
{
	return next == HOP_BY_HOP || next == ROUTING || next == FRAGMENT || next == DESTINATION;
}

/* The longest chain that is walked: eight headers of 2,048 bytes behind the largest head. */
enum { MAX_EXTENSION_OFFSET = 0x7fff };

/*
 * Walks the extension headers behind `cursor`. What the steps have learned is opaque to the verifier, or it would prove
 * the loop for every order of headers.
 */
static __always_inline enum reason parse_extensions(struct packet *packet, struct cursor *cursor, void *data,
						    __u8 next)
{
	__u32 offset = cursor->at - data, left = cursor->left, options = 0, fragments = 0;

	/* Each option header, one fragment header, and the look at what follows. */
	for (int i = 0; i < MAX_EXTENSION_HEADERS + 2; i++) {
		struct extension_header *extension;
		__u32 size = sizeof(*extension);

		offset = opaque(offset) & MAX_EXTENSION_OFFSET;
		left = opaque(left);
		next = opaque(next);
		options = opaque(options);
		fragments = opaque(fragments);
		extension = data + offset;
		cursor->at = extension;
		cursor->left = left;
		if (!is_extension(next)) {
			packet->protocol = next;
			return REASON_RULE;
		}
		if (next == FRAGMENT ? fragments++ : options++ == MAX_EXTENSION_HEADERS)
			return REASON_EXTENSION_HEADERS;
		if ((void *)(extension + 1) > cursor->frame_end || left < size)
			return REASON_TRUNCATED;
		if (next == FRAGMENT) {
			__u16 field = bpf_ntohs(extension->fragment_offset);

			/* Offset 0 without "more" is a whole packet that happens to carry the header. */
			if (field & 0xfff9) {
				packet->traits |= TRAIT_FRAGMENT;
				packet->fragment = (field & 0xfff8) ? FRAGMENT_LATER : FRAGMENT_FIRST;
				packet->fragment_id = extension->fragment_id;
				packet->fragment_protocol = extension->next;
			}
			if (field & 0xfff8) {
				packet->protocol = extension->next;
				return REASON_RULE;
			}
		} else {
			packet->traits |= TRAIT_IP_OPTIONS;
			size += extension->length * 8u;
			if (left < size)
				return REASON_TRUNCATED;
		}
		next = extension->next;
		left -= size;
		offset += size;
	}
	return REASON_EXTENSION_HEADERS;
}

static __always_inline enum reason parse_ipv6(struct packet *packet, struct cursor *cursor, void *data)
{
	cursor->left = sizeof(struct ipv6hdr);
	struct ipv6hdr *ip = take(cursor, sizeof(*ip));

	if (!ip || ip->version != 6)
		return REASON_TRUNCATED;

	__u32 payload = bpf_ntohs(ip->payload_len);

	if (payload > packet->length - (__u32)(cursor->at - data))
		return REASON_TRUNCATED;
	packet->family = 6;
	__builtin_memcpy(packet->source, &ip->saddr, 16);
	__builtin_memcpy(packet->destination, &ip->daddr, 16);
	cursor->left = payload;

	__u8 next = ip->nexthdr;

	if (!is_extension(next)) {
		packet->protocol = next;
		return REASON_RULE;
	}
	return parse_extensions(packet, cursor, data, next);
}

/*
 * Fills `packet` from the frame, of which all headers lie between `data` and `data_end`; the frame itself is
 * packet->length long, which is more when a packet of the local stack has its payload elsewhere. Returns
 * REASON_RULE to go on, REASON_NOT_IP, or why it cannot be read.
 */
static __always_inline enum reason parse_frame(struct packet *packet, void *data, void *data_end)
{
	struct cursor cursor = { .at = data, .frame_end = data_end, .left = ~0u };
	struct ethhdr *ethernet = take(&cursor, sizeof(*ethernet));
	enum reason reason;

	if (!ethernet)
		return REASON_TRUNCATED;

	__be16 type = ethernet->h_proto;

#pragma unroll
	for (int i = 0; i <= MAX_VLAN_TAGS; i++) {
		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		if (i == MAX_VLAN_TAGS)
			return REASON_VLAN_DEPTH;

		struct vlan_header *vlan = take(&cursor, sizeof(*vlan));

		if (!vlan)
			return REASON_TRUNCATED;
		packet->vlan_tags++;
		type = vlan->ether_type;
	}

	if (type == bpf_htons(ETH_P_IP))
		reason = parse_ipv4(packet, &cursor, data);
	else if (type == bpf_htons(ETH_P_IPV6))
		reason = parse_ipv6(packet, &cursor, data);
	else
		return REASON_NOT_IP;
	if (reason != REASON_RULE)
		return reason;

	packet->transport_offset = cursor.at - data;
	reason = parse_transport(packet, &cursor);
	if (reason != REASON_RULE)
		return reason;

	if (same_address(packet->source, packet->destination))
		packet->traits |= TRAIT_SAME_ADDRESS;
	if (martian_source(packet))
		packet->traits |= TRAIT_MARTIAN_SOURCE;
	return REASON_RULE;
}

#endif
