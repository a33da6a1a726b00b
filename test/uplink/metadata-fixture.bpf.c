// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A tc program behind the uplink program, as a later stage would be: it reads who decided. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include "types.h"

struct seen {
	/* Packets that came by, and those of them with metadata. */
	__u32 packets;
	__u32 with_metadata;
	/* Of the last one that had it. */
	__u32 magic;
	__u32 slot;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct seen);
} seen SEC(".maps");

SEC("tc")
int read_metadata(struct __sk_buff *skb)
{
	struct verdict_metadata *metadata = (void *)(long)skb->data_meta;
	__u32 zero = 0;
	struct seen *record = bpf_map_lookup_elem(&seen, &zero);

	if (!record)
		return TC_ACT_UNSPEC;
	record->packets++;
	if ((void *)(metadata + 1) > (void *)(long)skb->data)
		return TC_ACT_UNSPEC;
	record->with_metadata++;
	record->magic = metadata->magic;
	record->slot = metadata->slot;
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
