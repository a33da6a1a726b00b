// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Generator of the wire bench, run in live-frame mode: sends the frame it is given, from the next source of a list.
 * A frame comes round again as it left; source and IP checksum are the only bytes that differ from packet to packet.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum { SOURCES = 1 << 20 };

/* Bench sets: sum of the IP header's 16-bit words as they lie in memory, without source and checksum. */
const volatile __u32 header_sum = 0;

__u32 position = 0;

/* Bench writes: sources in network order. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SOURCES / 2);
	__type(key, __u32);
	__type(value, __u32[2]);
} sources SEC(".maps");

SEC("xdp")
int flood(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	__u32 at = position++, row = at / 2 & (SOURCES / 2 - 1);
	__u32 *pair = bpf_map_lookup_elem(&sources, &row), source, sum;

	if (!pair || (void *)(ip + 1) > data_end)
		return XDP_ABORTED;
	source = pair[at & 1];
	sum = header_sum + (source & 0xffff) + (source >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->saddr = source;
	ip->check = ~sum;
	return XDP_TX;
}
