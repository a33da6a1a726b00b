// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Maps of each kind and globals of each section, and a program that touches them. */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10000);
	__type(key, __u32);
	__type(value, __u64);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1000);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
} prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 5000);
	__type(key, __u32);
	__type(value, __u64[2]);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u32);
} small_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1000);
	__type(key, __u32);
	__type(value, __u32);
} words SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} cpus SEC(".maps");

const volatile __u32 verdict = XDP_PASS;
const volatile __u8 is_counting = 1;
__u64 runs;
__u32 seed = 42;

SEC("xdp")
int touch(struct xdp_md *ctx)
{
	__u32 slot = 7;
	__u64 *counter = bpf_map_lookup_elem(&counters, &slot);
	__u32 *word = bpf_map_lookup_elem(&words, &slot);

	if (is_counting)
		runs++;
	if (counter) {
		counter[0]++;
		counter[1] += ctx->data_end - ctx->data;
	}
	if (word)
		*word += seed;
	return verdict;
}

/* Never chosen by default tests: shows that one program of several can be left out. */
SEC("xdp")
int other(struct xdp_md *ctx)
{
	__u32 slot = 1;

	return bpf_map_lookup_elem(&table, &slot) ? XDP_DROP : XDP_ABORTED;
}

SEC("tc")
int pass_tc(struct __sk_buff *skb)
{
	return -1;
}

SEC("cgroup/connect4")
int refuse_connect(struct bpf_sock_addr *ctx)
{
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
