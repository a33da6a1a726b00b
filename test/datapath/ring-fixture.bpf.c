// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Writes numbered records of several lengths; every tenth is discarded after it was reserved. */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

__u64 next;
__u64 dropped;

#define WRITE(LENGTH)                                                                              \
	do {                                                                                       \
		__u64 *record = bpf_ringbuf_reserve(&ring, LENGTH, 0);                             \
		if (!record) {                                                                     \
			dropped++;                                                                 \
			return XDP_DROP;                                                           \
		}                                                                                  \
		*record = next++;                                                                  \
		if (*record % 10 == 9)                                                             \
			bpf_ringbuf_discard(record, 0);                                            \
		else                                                                               \
			bpf_ringbuf_submit(record, 0);                                             \
	} while (0)

SEC("xdp")
int write_record(struct xdp_md *ctx)
{
	switch (next % 3) {
	case 0:
		WRITE(8);
		break;
	case 1:
		WRITE(20);
		break;
	default:
		WRITE(130);
		break;
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
