// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Uplink: judges what arrives at an interface, before the stack sees it.
 *
 *   parse -> interface -> later fragment? -> classify -> walk the matching rules -> count -> verdict
 *
 * `uplink` acts. `uplink_trace` is the same code on the same tables, run by `sluicectl trace`: it writes down each
 * stage and leaves counters, buckets and tables alone. `uplink_egress` remembers connections the node opens.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

typedef struct xdp_md context;

#include "fragments.h"
#include "generation.h"
#include "parse.h"
#include "redirect.h"
#include "skb.h"
#include "walk.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Agent sets before load: hand the deciding rule to tc programs in the XDP metadata area. */
const volatile bool write_metadata = false;

/* Not inlined: clang would merge both look-ups into one call with an indirect jump, 13 ns on every packet. */
static __noinline __u32 far_interface_slot(__u32 ifindex)
{
	struct interface *interface = bpf_map_lookup_elem(&far_interfaces, &ifindex);

	return interface ? interface->slot & (MAX_INTERFACE_SLOTS - 1) : 0;
}

static __always_inline __u32 interface_slot(__u32 ifindex)
{
	struct interface *interface;

	if (ifindex >= DIRECT_IFINDEX)
		return far_interface_slot(ifindex);
	interface = bpf_map_lookup_elem(&interfaces, &ifindex);
	return interface ? interface->slot & (MAX_INTERFACE_SLOTS - 1) : 0;
}

/* Failure only means that the driver leaves no room in front of the packet. */
static __always_inline void hand_over(struct xdp_md *ctx, __u32 slot)
{
	struct verdict_metadata *metadata;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*metadata)))
		return;
	metadata = (void *)(long)ctx->data_meta;
	if ((void *)(metadata + 1) > (void *)(long)ctx->data)
		return;
	metadata->magic = VERDICT_METADATA_MAGIC;
	metadata->slot = slot;
}

/* A global function: the verifier forgets which way through the headers led here. The uplink spares itself the call. */
__noinline int parse_traced(struct xdp_md *ctx, struct packet *packet)
{
	if (!packet)
		return REASON_INTERNAL;
	return parse_frame(packet, (void *)(long)ctx->data, (void *)(long)ctx->data_end);
}

/* Fills in verdict and reason. */
static __always_inline void judge(struct xdp_md *ctx, struct packet *packet,
				  const struct generation *generation, __u32 slot, bool tracing)
{
	struct candidates found;
	enum reason reason;

	if (!slot_bit(generation->judged, slot))
		return decide(packet, VERDICT_PASS, REASON_NOT_JUDGED);
	reason = tracing ? parse_traced(ctx, packet) :
			   parse_frame(packet, (void *)(long)ctx->data, (void *)(long)ctx->data_end);
	if (reason == REASON_NOT_IP)
		return decide(packet, VERDICT_PASS, reason);
	if (reason != REASON_RULE)
		return decide(packet,
			      slot_bit(generation->drop_unparsable, slot) ? VERDICT_DROP : VERDICT_PASS,
			      reason);
	if (packet->fragment == FRAGMENT_LATER && follow_first_fragment(packet))
		return;
	if (!look_up_fields(generation, packet, slot, 0, &found, tracing))
		return decide(packet, VERDICT_ABORTED, REASON_INTERNAL);
	walk(ctx, generation, packet, &found, 0, 0, tracing);
	if (packet->fragment == FRAGMENT_FIRST && !tracing)
		remember_first_fragment(packet);
}

static __always_inline struct packet received(struct xdp_md *ctx, bool tracing)
{
	return (struct packet){
		.length = ctx->data_end - ctx->data,
		.ifindex = ctx->ingress_ifindex,
		.tracing = tracing,
	};
}

SEC("xdp")
int uplink(struct xdp_md *ctx)
{
	struct packet packet = received(ctx, false);
	__u32 slot = interface_slot(packet.ifindex);
	const struct generation *generation = active_generation(&packet);
	int action = XDP_PASS;

	if (!generation)
		return XDP_ABORTED;
	judge(ctx, &packet, generation, slot, false);
	if (packet.verdict == VERDICT_REDIRECT)
		action = redirect(ctx, &packet);
	else if (packet.verdict == VERDICT_DROP)
		action = XDP_DROP;
	else if (packet.verdict == VERDICT_ABORTED)
		action = XDP_ABORTED;

	count(&outcome_counters, slot * OUTCOMES + packet.verdict * REASONS + packet.reason, packet.length);
	if (packet.reason != REASON_NOT_JUDGED)
		count(&protocol_counters, packet.family ? packet.protocol : 256, packet.length);
	if (write_metadata && action == XDP_PASS && packet.slot)
		hand_over(ctx, packet.slot);
	return action;
}

SEC("xdp")
int uplink_trace(struct xdp_md *ctx)
{
	struct packet packet = received(ctx, true);
	const struct generation *generation = active_generation(&packet);
	struct trace *trace = trace_record();

	if (!generation || !trace)
		return XDP_ABORTED;
	__builtin_memset(trace, 0, sizeof(*trace));
	judge(ctx, &packet, generation, interface_slot(packet.ifindex), true);
	if (packet.verdict == VERDICT_REDIRECT)
		redirect(ctx, &packet);
	finish_trace(trace, &packet);
	return XDP_PASS;
}

SEC("tc")
int uplink_egress(struct __sk_buff *skb)
{
	struct packet packet = { .length = skb->len, .ifindex = skb->ifindex };
	const struct generation *generation = active_generation(&packet);

	if (!generation || !(generation->flags & GENERATION_CONNECTIONS))
		return TC_ACT_UNSPEC;
	/* Headers of a packet from the local stack lie in the linear part but for odd senders. */
	bpf_skb_pull_data(skb, skb->len < 128 ? skb->len : 128);
	if (parse_skb(skb, &packet) == REASON_RULE)
		remember_connection(&packet);
	return TC_ACT_UNSPEC;
}
