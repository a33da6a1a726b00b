/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a pod's policies say of a packet: by its flow, or by the rules, over all pages of them. */
#ifndef SLUICE_ADMIT_H
#define SLUICE_ADMIT_H

#include <linux/pkt_cls.h>
#include "flows.h"
#include "fragments.h"
#include "generation.h"
#include "skb.h"
#include "walk.h"

static __always_inline struct packet packet_at(struct __sk_buff *skb, enum stage stage)
{
	return (struct packet){ .length = skb->len, .ifindex = skb->ifindex, .stage = stage };
}

/* Field by field: a copy of a whole packet would be too much for the stack. What it was opened as stays. */
static __always_inline enum reason read_anew(struct __sk_buff *skb, struct packet *packet, enum stage stage)
{
	__builtin_memset(packet, 0, __builtin_offsetof(struct packet, opened_as));
	packet->length = skb->len;
	packet->ifindex = skb->ifindex;
	packet->stage = stage;
	return parse_skb(skb, packet);
}

/* Reads the headers, with what else of them lies outside the linear part when they do not end in it. */
static __always_inline enum reason read_packet(struct __sk_buff *skb, struct packet *packet)
{
	enum reason reason = parse_skb(skb, packet);
	bool tracing = packet->tracing;

	if (reason == REASON_TRUNCATED && reach(skb, MAX_EXTENSION_OFFSET)) {
		reason = read_anew(skb, packet, packet->stage);
		packet->tracing = packet->in_flow = tracing;
	}
	if (reason == REASON_RULE && (packet->vlan_tags || skb->vlan_present))
		return REASON_VLAN_DEPTH;
	return reason;
}

/*
 * By the rules that a slot is subject to, of one page from `from` on. Returns the rule where the walk goes on, on a later
 * page, or WALK_DECIDED.
 */
static __always_inline int judge_by_page(struct __sk_buff *skb, struct packet *packet, __u32 slot, __u32 from,
					 bool tracing)
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
	packet->subject = slot;
	if (!look_up_fields(generation, packet, slot, page, &found, tracing)) {
		decide(packet, VERDICT_ABORTED, REASON_INTERNAL);
		return WALK_DECIDED;
	}
	next = walk(skb, generation, packet, &found, page, from, tracing);
	/* Rules of pods do not redirect. */
	if (packet->verdict == VERDICT_REDIRECT)
		decide(packet, VERDICT_DROP, REASON_REDIRECT);
	return (__u32)next < generation->rule_count ? next : WALK_DECIDED;
}

/* Global functions: proved once, not for each stage and page. */
__noinline int judge_page(struct __sk_buff *skb, struct packet *packet, __u32 slot, __u32 from)
{
	return judge_by_page(skb, packet, slot, from, false);
}

__noinline int judge_page_traced(struct __sk_buff *skb, struct packet *packet, __u32 slot, __u32 from)
{
	return judge_by_page(skb, packet, slot, from, true);
}

static __always_inline void judge(struct __sk_buff *skb, struct packet *packet, __u32 slot, bool tracing)
{
	int from = 0;

	for (int page = 0; page < MAX_POD_PAGES && from != WALK_DECIDED; page++)
		from = tracing ? judge_page_traced(skb, packet, slot, from) : judge_page(skb, packet, slot, from);
}

/*
 * The rules have changed since they allowed the flow that an error is about: they are asked again, as of the packet that
 * opened it. Errors that got lost until its next packet would leave a sender without its path's MTU for as long as
 * rules change faster than routers answer.
 */
__noinline int judge_error(struct __sk_buff *skb, struct packet *packet, __u32 state, __u32 slot_out, __u32 slot_in)
{
	__u8 stage, generation, verdict, reason, translation;
	__u32 slot;

	if (!packet)
		return 0;
	stage = packet->stage;
	translation = packet->translation;
	generation = packet->generation;
	decide(packet, VERDICT_ABORTED, REASON_INTERNAL);
	if (!become_quoted(skb, packet, state))
		return 0;
	judge(skb, packet, packet->stage == STAGE_OUT ? slot_out : slot_in, false);
	settle_flow(packet, FLOW_STALE);
	verdict = packet->verdict;
	reason = packet->reason;
	slot = packet->slot;
	read_anew(skb, packet, stage);
	packet->generation = generation;
	packet->translation = translation;
	packet->slot = slot;
	decide(packet, verdict, reason);
	return 0;
}

/* At the packet's stage, by the pod that has these slots. */
static __always_inline void admit(struct __sk_buff *skb, struct packet *packet, __u32 slot_out, __u32 slot_in,
				  bool tracing)
{
	int state = FLOW_NONE;

	if (packet->fragment == FRAGMENT_LATER && follow_first_fragment(packet))
		return;
	if (!tracing || (skb->cb[0] & POD_TRACE_FLOW))
		state = find_flow(skb, packet);
	if (state == FLOW_CLASH) {
		decide(packet, VERDICT_DROP, REASON_TRANSLATION);
	} else if (state == FLOW_ALLOWED) {
		decide(packet, VERDICT_PASS, REASON_FLOW);
		if (packet->slot && !tracing)
			count_rule(packet->slot, packet->length, false);
	} else if (!tracing && (state == FLOW_ERROR_STALE || state == FLOW_ERROR_REPLY_STALE)) {
		judge_error(skb, packet, state, slot_out, slot_in);
	} else {
		bool reply = state == FLOW_REPLY_STALE;
		__u32 slot;

		if (reply)
			turn_around(packet);
		slot = packet->stage == STAGE_OUT ? slot_out : slot_in;
		judge(skb, packet, slot, tracing);
		if (!tracing)
			settle_flow(packet, state);
		if (reply)
			turn_around(packet);
	}
	if (packet->fragment == FRAGMENT_FIRST && !tracing)
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

#endif
