// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Answers with what the context says, as a number instead of a verdict. */
SEC("xdp")
int interface_and_queue(struct xdp_md *ctx)
{
	return ctx->ingress_ifindex * 100 + ctx->rx_queue_index;
}

/* Answers with the metadata word that is there, or else puts one there. */
SEC("xdp")
int metadata(struct xdp_md *ctx)
{
	__u32 *word = (void *)(long)ctx->data_meta;

	if ((void *)(word + 1) <= (void *)(long)ctx->data)
		return *word;
	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*word)))
		return XDP_ABORTED;
	word = (void *)(long)ctx->data_meta;
	if ((void *)(word + 1) > (void *)(long)ctx->data)
		return XDP_ABORTED;
	*word = 0x5108;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
