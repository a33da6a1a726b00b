// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Pods: judges what local pods send and receive, by the same tables as the uplink, in a bank of their own.
 *
 *   pod_out   whose veth? -> parse -> its own addresses? -> flow, or egress policies -> deliver or stack
 *                                                                                       |
 *                                                   flow, or ingress policies <- local pod
 *   pod_in    whose veth? -> from this node? -> parse -> flow, or ingress policies
 *
 * Both sit on the host's end of a pod's veth: pod_out on its ingress, pod_in on its egress, where packets come from
 * the stack. What becomes of each packet is in docs/pods.md.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

typedef struct __sk_buff context;

#include "deliver.h"
#include "flows.h"
#include "fragments.h"
#include "generation.h"
#include "pods.h"
#include "rates.h"
#include "skb.h"
#include "walk.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline struct packet packet_at(struct __sk_buff *skb, enum stage stage)
{
	return (struct packet){ .length = skb->len, .ifindex = skb->ifindex, .stage = stage };
}

/* Reads the headers, with what else of them lies outside the linear part when they do not end in it. */
static __always_inline enum reason read_packet(struct __sk_buff *skb, struct packet *packet)
{
	enum reason reason = parse_skb(skb, packet);

	if (reason == REASON_TRUNCATED && reach(skb, MAX_EXTENSION_OFFSET)) {
		*packet = packet_at(skb, packet->stage);
		reason = parse_skb(skb, packet);
	}
	if (reason == REASON_RULE && (packet->vlan_tags || skb->vlan_present))
		return REASON_VLAN_DEPTH;
	return reason;
}

/*
 * By the rules that a slot is subject to, of one page from `from` on. Returns the rule where the walk goes on, on a later
 * page, or WALK_DECIDED. A global function: proved once, not for each stage and page.
 */
__noinline int judge_page(struct __sk_buff *skb, struct packet *packet, __u32 slot, __u32 from)
{
	const struct generation *generation;
	__u32 page = from / MAX_RULES;
	struct candidates found;
	int next;

	if (!packet)
		return WALK_DECIDED;
	generation = generation_of(packet);
	if (!generation) {
		decide(packet, VERDICT_ABORTED, REASON_INTERNAL);
		return WALK_DECIDED;
	}
	/* A pod whose policies are not compiled yet is closed. */
	if (!slot_bit(generation->judged, slot)) {
		decide(packet, VERDICT_DROP, REASON_NOT_JUDGED);
		return WALK_DECIDED;
	}
	if (!look_up_fields(generation, packet, slot, page, &found, false)) {
		decide(packet, VERDICT_ABORTED, REASON_INTERNAL);
		return WALK_DECIDED;
	}
	next = walk(skb, generation, packet, &found, page, from, false);
	/* Rules of pods do not redirect. */
	if (packet->verdict == VERDICT_REDIRECT)
		decide(packet, VERDICT_DROP, REASON_REDIRECT);
	return (__u32)next < generation->rule_count ? next : WALK_DECIDED;
}

static __always_inline void judge(struct __sk_buff *skb, struct packet *packet, __u32 slot)
{
	int from = 0;

	for (int page = 0; page < MAX_POD_PAGES && from != WALK_DECIDED; page++)
		from = judge_page(skb, packet, slot, from);
}

/*
 * The rules have changed since they allowed the flow that an error is about: they are asked again, as of the packet that
 * opened it. Errors that got lost until its next packet would leave a sender without its path's MTU for as long as
 * rules change faster than routers answer.
 */
__noinline int judge_error(struct __sk_buff *skb, struct packet *packet, __u32 state, __u32 slot_out, __u32 slot_in)
{
	__u8 stage, generation, verdict, reason;
	__u32 slot;

	if (!packet)
		return 0;
	stage = packet->stage;
	generation = packet->generation;
	decide(packet, VERDICT_ABORTED, REASON_INTERNAL);
	if (!become_quoted(skb, packet, state))
		return 0;
	judge(skb, packet, packet->stage == STAGE_OUT ? slot_out : slot_in);
	settle_flow(packet, FLOW_STALE);
	verdict = packet->verdict;
	reason = packet->reason;
	slot = packet->slot;
	*packet = packet_at(skb, stage);
	parse_skb(skb, packet);
	packet->generation = generation;
	packet->slot = slot;
	decide(packet, verdict, reason);
	return 0;
}

/* At the packet's stage, by the pod that has these slots. */
static __always_inline void admit(struct __sk_buff *skb, struct packet *packet, __u32 slot_out, __u32 slot_in)
{
	int state;

	if (packet->fragment == FRAGMENT_LATER && follow_first_fragment(packet))
		return;
	state = find_flow(skb, packet);
	if (state == FLOW_ALLOWED) {
		decide(packet, VERDICT_PASS, REASON_FLOW);
		if (packet->slot)
			count_rule(packet->slot, packet->length, false);
	} else if (state == FLOW_ERROR_STALE || state == FLOW_ERROR_REPLY_STALE) {
		judge_error(skb, packet, state, slot_out, slot_in);
	} else {
		bool reply = state == FLOW_REPLY_STALE;

		if (reply)
			turn_around(packet);
		judge(skb, packet, packet->stage == STAGE_OUT ? slot_out : slot_in);
		settle_flow(packet, state);
		if (reply)
			turn_around(packet);
	}
	if (packet->fragment == FRAGMENT_FIRST)
		remember_first_fragment(packet);
}

static __always_inline void count_outcome(const struct packet *packet, __u32 slot)
{
	slot &= MAX_INTERFACE_SLOTS - 1;
	count(&outcome_counters, slot * OUTCOMES + packet->verdict * REASONS + packet->reason, packet->length);
}

static __always_inline int refuse(struct packet *packet, __u32 slot, enum reason reason)
{
	decide(packet, VERDICT_DROP, reason);
	count_outcome(packet, slot);
	return TC_ACT_SHOT;
}

/* Not a matter of policy: counted, and left to the stack. */
static __always_inline int let_pass(struct packet *packet, __u32 slot, enum reason reason)
{
	decide(packet, VERDICT_PASS, reason);
	count_outcome(packet, slot);
	return TC_ACT_UNSPEC;
}

/* The link layer address of the pod, whatever the packet says above. */
static __always_inline bool is_own_mac(struct __sk_buff *skb, const struct pod_interface *pod)
{
	struct ethhdr *ethernet = (void *)(long)skb->data;
	const __u16 *source = (void *)ethernet->h_source, *own = (void *)pod->mac;

	return (void *)(ethernet + 1) <= (void *)(long)skb->data_end && source[0] == own[0] &&
	       source[1] == own[1] && source[2] == own[2];
}

SEC("tc")
int pod_out(struct __sk_buff *skb)
{
	struct packet packet = packet_at(skb, STAGE_OUT);
	const struct pod_interface *pod = pod_behind(packet.ifindex);
	enum reason reason;
	const struct pod *to;

	if (!pod)
		return refuse(&packet, 0, REASON_UNKNOWN_POD);
	if (!is_own_mac(skb, pod))
		return refuse(&packet, pod->slot_out, REASON_SPOOFED);
	reason = read_packet(skb, &packet);
	if (reason == REASON_NOT_IP && skb->protocol == bpf_htons(ETH_P_ARP))
		return let_pass(&packet, pod->slot_out, reason);
	if (reason != REASON_RULE)
		return refuse(&packet, pod->slot_out, reason);
	if (is_link_control(&packet, pod))
		return let_pass(&packet, pod->slot_out, REASON_NOT_JUDGED);
	if (!is_from_pod(&packet, pod))
		return refuse(&packet, pod->slot_out, REASON_SPOOFED);

	active_generation(&packet);
	/* A pod may always talk to itself. */
	if (packet.traits & TRAIT_SAME_ADDRESS)
		decide(&packet, VERDICT_PASS, REASON_NOT_JUDGED);
	else
		admit(skb, &packet, pod->slot_out, pod->slot_in);
	keep_rate(skb, &packet, pod->limits, POD_LIMIT_OUT, pod->slot_out);
	count_outcome(&packet, pod->slot_out);
	if (packet.verdict != VERDICT_PASS)
		return TC_ACT_SHOT;

	to = pod_at_destination(&packet);
	if (!to || !can_deliver(skb, &packet))
		return TC_ACT_UNSPEC;
	packet.stage = STAGE_IN;
	packet.slot = 0;
	if (!(packet.traits & TRAIT_SAME_ADDRESS))
		admit(skb, &packet, to->slot_out, to->slot_in);
	keep_rate(skb, &packet, to->limits, POD_LIMIT_IN, to->slot_in);
	count_outcome(&packet, to->slot_in);
	return packet.verdict == VERDICT_PASS ? deliver(skb, &packet, to) : TC_ACT_SHOT;
}

SEC("tc")
int pod_in(struct __sk_buff *skb)
{
	struct packet packet = packet_at(skb, STAGE_IN);
	const struct pod_interface *pod = pod_behind(packet.ifindex);
	enum reason reason;

	if (!pod)
		return refuse(&packet, 0, REASON_UNKNOWN_POD);
	/* A packet that came in by no interface is this node's own, such as a kubelet's probe. */
	if (!skb->ingress_ifindex)
		return let_pass(&packet, pod->slot_in, REASON_NOT_JUDGED);
	reason = read_packet(skb, &packet);
	if (reason != REASON_RULE)
		return refuse(&packet, pod->slot_in, reason);
	if (packet.traits & TRAIT_SAME_ADDRESS)
		return let_pass(&packet, pod->slot_in, REASON_NOT_JUDGED);

	active_generation(&packet);
	admit(skb, &packet, pod->slot_out, pod->slot_in);
	keep_rate(skb, &packet, pod->limits, POD_LIMIT_IN, pod->slot_in);
	count_outcome(&packet, pod->slot_in);
	return packet.verdict == VERDICT_PASS ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}
