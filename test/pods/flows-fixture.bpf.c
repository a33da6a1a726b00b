// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* A table of flows as another build may have it: fields in another order, of other sizes, missing and more. */

struct connection_key {
	__u8 family;
	__u8 protocol;
	__u16 zone;
	__u32 local_port;
	__u32 remote_port;
	__u32 remote[4];
	__u32 local[4];
};

struct flow_judgement {
	__u16 why;
	__u16 pad;
	__u32 slot;
	__u32 generation;
};

struct flow {
	struct flow_judgement in;
	struct flow_judgement out;
	__u16 lifetime_s;
	__u8 flags;
	__u8 pad0;
	__u32 mark;
	__u64 last_ns;
	__u64 created_ns;
	__u32 packets_forth;
	__u32 bytes_forth;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct connection_key);
	__type(value, struct flow);
} flows SEC(".maps");
