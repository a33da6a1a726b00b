/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The matching rules in order of judgement, until one decides (docs/xdp-policy.md §2). */
#ifndef SLUICE_WALK_H
#define SLUICE_WALK_H

#include "classify.h"
#include "connections.h"
#include "limiter.h"

/* What a matching rule does to this packet. */
static __always_inline __u8 effect_of(context *ctx, const struct generation *generation,
				      const struct packet *packet, const struct rule *rule)
{
	switch (rule->action) {
	case ACTION_ACCEPT:
		return EFFECT_ACCEPT;
	case ACTION_DROP:
		if ((rule->flags & RULE_DEFAULT) && established(ctx, packet))
			return EFFECT_ESTABLISHED;
		return EFFECT_DROP;
	case ACTION_PASS:
		return EFFECT_PASS;
	case ACTION_LIMIT: {
		__u32 index = generation->rules_half * MAX_LIMITS + rule->target;
		struct limit *limit = bpf_map_lookup_elem(&limits, &index);

		if (!limit)
			return EFFECT_NONE;
		return above_limit(packet, rule->slot, limit) ? EFFECT_ABOVE_LIMIT : EFFECT_WITHIN_LIMIT;
	}
	default:
		return EFFECT_REDIRECT;
	}
}

static __always_inline void apply_effect(struct packet *packet, const struct rule *rule, __u8 effect)
{
	bool by_default = rule->flags & RULE_DEFAULT;

	packet->slot = rule->slot;
	switch (effect) {
	case EFFECT_ACCEPT:
		decide(packet, VERDICT_PASS, by_default ? REASON_DEFAULT : REASON_RULE);
		break;
	case EFFECT_ESTABLISHED:
		decide(packet, VERDICT_PASS, REASON_ESTABLISHED);
		break;
	case EFFECT_ABOVE_LIMIT:
		decide(packet, VERDICT_DROP, REASON_LIMIT);
		break;
	case EFFECT_REDIRECT:
		packet->action = rule->action;
		packet->target = rule->target;
		packet->target_count = rule->target_count;
		decide(packet, VERDICT_REDIRECT, REASON_RULE);
		break;
	default:
		decide(packet, VERDICT_DROP, by_default ? REASON_DEFAULT : REASON_RULE);
	}
}

enum { WALK_DECIDED = -1 };

/* A page has its rows in two halves. */
static __always_inline __u32 rule_row(const struct generation *generation, __u32 page, __u32 index)
{
	return (2 * page + generation->rules_half) * MAX_RULES + index;
}

/*
 * Applies one matching rule. Returns WALK_DECIDED, or the rule where the walk goes on.
 * A global function: the verifier proves it once instead of once per step of the walk.
 */
__noinline int apply_rule(context *ctx, struct packet *packet, __u32 index)
{
	__u32 zero = 0, row;
	struct control *table = bpf_map_lookup_elem(&control, &zero);
	const struct generation *generation;
	const struct rule *rule;
	__u8 effect, audit;

	if (!table || !packet)
		return WALK_DECIDED;
	generation = &table->generations[packet->generation & 1];
	row = rule_row(generation, index / MAX_RULES, index % MAX_RULES);
	rule = bpf_map_lookup_elem(&rules, &row);
	if (!rule)
		return WALK_DECIDED;

	effect = effect_of(ctx, generation, packet, rule);
	audit = (rule->flags & RULE_AUDIT) ? EFFECT_AUDIT : 0;
	if (packet->tracing) {
		trace_step(index, rule->slot, effect | audit);
	} else {
		if (effect != EFFECT_ESTABLISHED)
			count_rule(rule->slot, packet->length, effect == EFFECT_ABOVE_LIMIT);
		if (effect != EFFECT_WITHIN_LIMIT && sampled(rule))
			send_event(ctx, generation, packet, rule, effect | audit);
	}
	if (effect == EFFECT_WITHIN_LIMIT || effect == EFFECT_NONE)
		return rule->next;
	if (effect == EFFECT_PASS || audit)
		return rule->resume;
	apply_effect(packet, rule, effect);
	return WALK_DECIDED;
}

/* Walks the matching rules of one word. Returns WALK_DECIDED or the rule where the walk goes on, in a later word. */
__noinline int walk_word(context *ctx, struct packet *packet, __u32 word, __u64 bits)
{
	for (int step = 0; step < 64 && bits; step++) {
		int next = apply_rule(ctx, packet, word * 64 + first_bit(bits));

		if (next == WALK_DECIDED || next >> 6 != (int)word)
			return next;
		bits &= bits - 1;
		bits &= ~0ULL << (next & 63);
	}
	return (word + 1) * 64;
}

/*
 * The way of most packets that match: an Accept or Drop of an enforcing policy that reports nothing. The same as
 * apply_rule does, without the calls, which cost more than all the rest of the walk.
 */
static __always_inline bool apply_plain_rule(const struct generation *generation, struct packet *packet,
					     __u32 page, __u32 index)
{
	__u32 row = rule_row(generation, page, index);
	const struct rule *rule = bpf_map_lookup_elem(&rules, &row);

	if (!rule || rule->flags || rule->log_one_in || rule->action > ACTION_DROP)
		return false;
	count_rule(rule->slot, packet->length, false);
	packet->slot = rule->slot;
	decide(packet, rule->action == ACTION_ACCEPT ? VERDICT_PASS : VERDICT_DROP, REASON_RULE);
	return true;
}

/*
 * Walks the matching rules of one page in order, from rule `from` on, until one decides. Returns WALK_DECIDED or the
 * rule where the walk goes on, in a later page.
 */
static __always_inline int walk(context *ctx, const struct generation *generation, struct packet *packet,
				const struct candidates *found, __u32 page, __u32 from, bool tracing)
{
	__u64 summary = found->summary & ~0ULL << (from >> 6 & 63);
	__u32 first_word = page * RULE_WORDS;

	decide(packet, VERDICT_PASS, REASON_NO_RULE);
	for (int i = 0; i < RULE_WORDS && summary; i++) {
		__u32 word = first_bit(summary);
		__u64 bits = candidate_word(found, word);
		int next;

		summary &= summary - 1;
		if (first_word + word == from >> 6)
			bits &= ~0ULL << (from & 63);
		if (!bits)
			continue;
		if (!tracing && apply_plain_rule(generation, packet, page, word * 64 + first_bit(bits)))
			return WALK_DECIDED;
		next = walk_word(ctx, packet, first_word + word, bits);
		if (next == WALK_DECIDED || (__u32)next >= (page + 1) * MAX_RULES)
			return next;
		from = next;
		summary &= ~0ULL << (from >> 6 & 63);
	}
	return (page + 1) * MAX_RULES;
}

#endif
