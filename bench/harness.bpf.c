// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the per-packet bench runs by BPF_PROG_TEST_RUN. `repeat` gives a program the same packet again and again, so
 * these give it the next source address of a list each time and jump to the program under test. Only the source is
 * written, and it is written every time: nothing has to be undone.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum {
	/* 4 MB each: read in order, which the CPU's prefetcher hides. */
	V4_SOURCES = 1 << 20,
	V6_SOURCES = 1 << 18,
};

/* Place in the list; goes on from run to run. */
__u32 position = 0;

/* Bench writes: sources in network order. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, V4_SOURCES / 2);
	__type(key, __u32);
	__type(value, __u32[2]);
} v4_sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, V6_SOURCES);
	__type(key, __u32);
	__type(value, __u64[2]);
} v6_sources SEC(".maps");

/* Bench writes: the program under test. A constant index lets the kernel turn the tail call into a plain jump. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} subject SEC(".maps");

SEC("xdp")
int vary_v4_source(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	__u32 at = position++, row = at / 2 & (V4_SOURCES / 2 - 1);
	__u32 *pair = bpf_map_lookup_elem(&v4_sources, &row);

	if (!pair || (void *)(ip + 1) > data_end)
		return XDP_ABORTED;
	ip->saddr = pair[at & 1];
	bpf_tail_call(ctx, &subject, 0);
	return XDP_ABORTED;
}

SEC("xdp")
int vary_v6_source(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct ipv6hdr *ip = data + sizeof(struct ethhdr);
	__u32 row = position++ & (V6_SOURCES - 1);
	__u64 *halves = bpf_map_lookup_elem(&v6_sources, &row), *source = (void *)&ip->saddr;

	if (!halves || (void *)(ip + 1) > data_end)
		return XDP_ABORTED;
	/* Wide stores: a program that reads 8 bytes which were written as 4 and 4 would wait for the store buffer. */
	source[0] = halves[0];
	source[1] = halves[1];
	bpf_tail_call(ctx, &subject, 0);
	return XDP_ABORTED;
}

SEC("xdp")
int empty_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp")
int empty_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("tc")
int empty_tc(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}
