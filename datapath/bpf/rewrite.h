/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Other addresses and ports into a packet, with all checksums that cover them. Ethernet is in front, without tags. */
#ifndef SLUICE_REWRITE_H
#define SLUICE_REWRITE_H

#include "crc32c.h"
#include "flows.h"

enum {
	IPV4_CHECK = 10,
	IPV4_ADDRESSES = 12,
	IPV6_ADDRESSES = 8,
	TCP_CHECK = 16,
	UDP_CHECK = 6,
	SCTP_CHECK = 8,
	ICMP_CHECK = 2,
};

/* Source and destination are side by side, here as in a header. */
static __always_inline long address_change(const struct endpoints *from, const struct endpoints *to)
{
	return bpf_csum_diff((__be32 *)from, 32, (__be32 *)to, 32, 0);
}

static __always_inline bool read_endpoints(struct __sk_buff *skb, __u32 family, __u32 header, struct endpoints *found)
{
	if (family == 4)
		return !bpf_skb_load_bytes(skb, header + IPV4_ADDRESSES, found->source, 4) &&
		       !bpf_skb_load_bytes(skb, header + IPV4_ADDRESSES + 4, found->destination, 4);
	return !bpf_skb_load_bytes(skb, header + IPV6_ADDRESSES, found, 32);
}

static __always_inline bool store_addresses(struct __sk_buff *skb, __u32 family, __u32 header,
					    const struct endpoints *to)
{
	if (family == 4)
		return !bpf_skb_store_bytes(skb, header + IPV4_ADDRESSES, to->source, 4, 0) &&
		       !bpf_skb_store_bytes(skb, header + IPV4_ADDRESSES + 4, to->destination, 4, 0);
	return !bpf_skb_store_bytes(skb, header + IPV6_ADDRESSES, to, 32, 0);
}

/* Bytes of the packet behind its IP headers, by its own word: a frame may be longer. */
static __always_inline __u32 transport_length(struct __sk_buff *skb, const struct packet *packet)
{
	__u32 headers = packet->transport_offset - sizeof(struct ethhdr);
	__be16 length = 0;

	if (packet->family == 4) {
		bpf_skb_load_bytes(skb, sizeof(struct ethhdr) + 2, &length, 2);
		return bpf_ntohs(length) - headers;
	}
	bpf_skb_load_bytes(skb, sizeof(struct ethhdr) + 4, &length, 2);
	return bpf_ntohs(length) + sizeof(struct ipv6hdr) - headers;
}

/* A sum of 0 was left to the device. That of a fragment covers what is not here. */
static __always_inline bool correct_sctp(struct __sk_buff *skb, const struct packet *packet, __be32 change)
{
	__u32 at = packet->transport_offset + SCTP_CHECK, sum;

	if (!change)
		return true;
	if (packet->fragment != FRAGMENT_WHOLE || bpf_skb_load_bytes(skb, at, &sum, sizeof(sum)))
		return false;
	if (!sum)
		return true;
	sum ^= crc32c_change(change, transport_length(skb, packet));
	return !bpf_skb_store_bytes(skb, at, &sum, sizeof(sum), 0);
}

/* The checksum behind the IP headers, for addresses that it covers and for ports. */
static __always_inline bool correct_transport(struct __sk_buff *skb, const struct packet *packet, long addresses,
					      long ports)
{
	__u32 at = packet->transport_offset;
	__u64 flags = 0;

	if (packet->protocol == PROTO_TCP) {
		at += TCP_CHECK;
	} else if (packet->protocol == PROTO_UDP) {
		at += UDP_CHECK;
		flags = BPF_F_MARK_MANGLED_0;
	} else if (packet->protocol == PROTO_ICMPV6 && packet->family == 6) {
		at += ICMP_CHECK;
	} else {
		return true;
	}
	if (bpf_l4_csum_replace(skb, at, 0, addresses, flags | BPF_F_PSEUDO_HDR))
		return false;
	/* The helper takes addresses for IPv4's, whose change the header's own sum makes up for. */
	if (packet->family == 6)
		bpf_csum_update(skb, addresses);
	return !bpf_l4_csum_replace(skb, at, 0, ports, flags);
}

/* Puts source and destination into the packet, ports where it has them. False: the packet is spoilt. */
__noinline int write_endpoints(struct __sk_buff *skb, struct packet *packet, struct endpoints *to)
{
	__u32 header = sizeof(struct ethhdr);
	struct endpoints from = {};
	__be16 before[2], ports[2];
	long addresses;

	if (!packet || !to || !read_endpoints(skb, packet->family, header, &from))
		return false;
	addresses = address_change(&from, to);
	if (packet->fragment != FRAGMENT_LATER) {
		__u32 at = packet->transport_offset;
		long change = 0;

		if (packet->has_ports) {
			ports[0] = bpf_htons(to->source_port);
			ports[1] = bpf_htons(to->destination_port);
			if (bpf_skb_load_bytes(skb, at, before, 4))
				return false;
			change = bpf_csum_diff((__be32 *)before, 4, (__be32 *)ports, 4, 0);
			if (packet->protocol == PROTO_SCTP &&
			    !correct_sctp(skb, packet, *(__be32 *)before ^ *(__be32 *)ports))
				return false;
			if (bpf_skb_store_bytes(skb, at, ports, 4, 0))
				return false;
		}
		if (!correct_transport(skb, packet, addresses, change))
			return false;
	}
	if (packet->family == 4 && bpf_l3_csum_replace(skb, header + IPV4_CHECK, 0, addresses, 0))
		return false;
	return store_addresses(skb, packet->family, header, to);
}

/* Changes bytes that an ICMP error quotes, four at a time, and its checksum. */
static __always_inline bool patch_quoted(struct __sk_buff *skb, const struct packet *packet, __u32 at, __be32 *to)
{
	__be32 from;

	if (bpf_skb_load_bytes(skb, at, &from, 4))
		return false;
	return !bpf_l4_csum_replace(skb, packet->transport_offset + ICMP_CHECK, 0, bpf_csum_diff(&from, 4, to, 4, 0),
				    0) &&
	       !bpf_skb_store_bytes(skb, at, to, 4, 0);
}

/* Adds a change to the checksum in the lower or, by a shift of 16, the upper half of four bytes. */
static __always_inline __be32 corrected(__be32 word, __u32 shift, __u64 change)
{
	__u64 sum = (__u16)~(word >> shift) + (change & 0xffffffff) + (change >> 32);

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (word & ~(0xffffU << shift)) | (__u32)(__u16)~sum << shift;
}

/* Where the quoted transport header has its checksum, in four bytes that begin there or two before; 0: not to be had. */
static __always_inline __u32 quoted_check(__u8 protocol)
{
	if (protocol == PROTO_TCP)
		return TCP_CHECK;
	return protocol == PROTO_UDP ? UDP_CHECK - 2 : 0;
}

/*
 * Puts source and destination into the packet that an ICMP error quotes, with the checksums that it has room for. The
 * sum of SCTP stays: its packet is not all there.
 */
__noinline int write_quoted(struct __sk_buff *skb, struct packet *packet, struct endpoints *to)
{
	struct endpoints from = {};
	__be16 ports[2], before[2];
	__u32 header, at, check, i;
	__u64 addresses;
	__be32 word;
	__u8 byte;

	if (!packet || !to)
		return false;
	header = packet->transport_offset + sizeof(struct icmp_header);
	if (!read_endpoints(skb, packet->family, header, &from))
		return false;
	addresses = address_change(&from, to);
	if (bpf_skb_load_bytes(skb, packet->family == 4 ? header : header + 6, &byte, 1))
		return false;
	at = packet->family == 4 ? header + (byte & 15) * 4 : header + sizeof(struct ipv6hdr);
	if (bpf_skb_load_bytes(skb, packet->family == 4 ? header + 9 : header + 6, &byte, 1) ||
	    bpf_skb_load_bytes(skb, at, before, 4))
		return false;
	ports[0] = bpf_htons(to->source_port);
	ports[1] = bpf_htons(to->destination_port);
	check = quoted_check(byte);
	if (check && !bpf_skb_load_bytes(skb, at + check, &word, 4)) {
		__u64 change = addresses + bpf_csum_diff((__be32 *)before, 4, (__be32 *)ports, 4, 0);
		bool is_udp = byte == PROTO_UDP;

		/* A UDP sum of 0 is none. */
		if (!is_udp || word >> 16) {
			word = corrected(word, is_udp ? 16 : 0, change);
			if (is_udp && !(word >> 16))
				word |= 0xffff0000;
			if (!patch_quoted(skb, packet, at + check, &word))
				return false;
		}
	}
	if (!patch_quoted(skb, packet, at, (__be32 *)ports))
		return false;
	if (packet->family == 4) {
		if (bpf_skb_load_bytes(skb, header + 8, &word, 4))
			return false;
		word = corrected(word, 16, addresses);
		return patch_quoted(skb, packet, header + 8, &word) &&
		       patch_quoted(skb, packet, header + IPV4_ADDRESSES, to->source) &&
		       patch_quoted(skb, packet, header + IPV4_ADDRESSES + 4, to->destination);
	}
	for (i = 0; i < 4; i++) {
		if (!patch_quoted(skb, packet, header + IPV6_ADDRESSES + 4 * i, &to->source[i]) ||
		    !patch_quoted(skb, packet, header + IPV6_ADDRESSES + 16 + 4 * i, &to->destination[i]))
			return false;
	}
	return true;
}

#endif
