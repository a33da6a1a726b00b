/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parser learned, and small helpers every stage uses. */
#ifndef SLUICE_PACKET_H
#define SLUICE_PACKET_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "types.h"

/*
 * What a packet comes in, `context`, is the program file's choice before it includes this: struct xdp_md or struct
 * __sk_buff. The stages use what both have: data and data_end.
 */

enum fragment_part { FRAGMENT_WHOLE, FRAGMENT_FIRST, FRAGMENT_LATER };

enum translation {
	TRANSLATION_NONE,
	/* It has been: what the stages see, and what stands in the packet, is what it became. */
	TRANSLATION_DONE,
	/* An answer, or an error about such a packet: to be translated back when it passes. */
	TRANSLATION_BACK,
};

struct packet {
	/* Bytes of the frame, from the Ethernet header. */
	__u32 length;
	__u32 ifindex;
	/* 4, 6, or 0 while unknown. */
	__u8 family;
	__u8 protocol;
	__u8 vlan_tags;
	/* enum fragment_part */
	__u8 fragment;
	/* enum stage */
	__u8 stage;
	/* enum trait */
	__u8 traits;
	/* Ports are known: TCP, UDP or SCTP, and not a later fragment. */
	bool has_ports;
	/* TCP flags, or ICMP type << 8 | code. */
	__u16 detail;
	/* Host order. ICMP echo: the identifier in both. */
	__u16 source_port;
	__u16 destination_port;
	/* Interface slot of the pod whose rules judge it. */
	__u16 subject;
	__u32 fragment_id;
	/* Protocol by the fragment header, the same in all fragments; `protocol` is known to the first only. */
	__u8 fragment_protocol;
	/* Network order; IPv4 in the first word, the others 0. */
	__u32 source[4];
	__u32 destination[4];
	/* Offset of the transport header in the frame. */
	__u32 transport_offset;
	/* enum translation */
	__u8 translation;
	/* Its flow has counted it. */
	bool in_flow;
	/* A dry run: look, write the trace, change nothing else. */
	bool tracing;
	/* Index of the generation that judges it: the same one from start to end. */
	__u8 generation;
	/* What became of it. */
	__u8 verdict;
	__u8 reason;
	/* enum rule_action of the deciding rule, when it redirects */
	__u8 action;
	__u32 slot;
	__u32 target;
	__u32 target_count;
	/* What the opener of its flow has as source and destination, when those are translated. Last: read_anew(). */
	struct endpoints opened_as;
};

/* Protocol numbers used here; <linux/in.h> drags in libc's headers. */
enum {
	PROTO_ICMP = 1,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_ICMPV6 = 58,
	PROTO_SCTP = 132,
};

enum tcp_flags { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16, TCP_URG = 32 };

/* Index 0–63 of the lowest set bit of a non-zero word: clang 16 has no ctz for BPF. */
static __always_inline __u32 first_bit(__u64 word)
{
	static const __u8 positions[64] = {
		0,  1,	2,  53, 3,  7,	54, 27, 4,  38, 41, 8,	34, 55, 48, 28,
		62, 5,	39, 46, 44, 42, 22, 9,	24, 35, 59, 56, 49, 18, 29, 11,
		63, 52, 6,  26, 37, 40, 33, 47, 61, 45, 43, 21, 23, 58, 17, 10,
		51, 25, 36, 32, 60, 20, 57, 16, 50, 31, 19, 15, 30, 14, 13, 12,
	};

	return positions[((word & -word) * 0x022fdd63cc95386dULL) >> 58];
}

static __always_inline __u32 count_bits(__u64 word)
{
	word -= (word >> 1) & 0x5555555555555555ULL;
	word = (word & 0x3333333333333333ULL) + ((word >> 2) & 0x3333333333333333ULL);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return (word * 0x0101010101010101ULL) >> 56;
}

/*
 * Returns its argument. To the verifier it is any number: without this it follows each order of headers through
 * a loop with its own bounds.
 */
__noinline int opaque(__u32 value)
{
	asm volatile("" : "+r"(value));
	return value;
}

static __always_inline bool same_address(const __u32 *left, const __u32 *right)
{
	return left[0] == right[0] && left[1] == right[1] && left[2] == right[2] && left[3] == right[3];
}

/* Per-CPU rows are only touched by the CPU they belong to. */
static __always_inline void count(void *table, __u32 index, __u32 bytes)
{
	struct counter *counter = bpf_map_lookup_elem(table, &index);

	if (counter) {
		counter->packets++;
		counter->bytes += bytes;
	}
}

static __always_inline void decide(struct packet *packet, enum verdict verdict, enum reason reason)
{
	packet->verdict = verdict;
	packet->reason = reason;
}

#endif
