// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Uplink: judges what arrives at an interface, before the stack sees it.
 *
 *   parse -> interface -> later fragment? -> classify -> walk the matching rules -> count -> verdict
 *
 * `uplink` acts. `uplink_trace` is the same code on the same tables, run by `sluicectl trace`: it writes down each
 * stage and leaves counters, buckets and tables alone. `uplink_egress` remembers connections the node opens.
 */
#include <linux/pkt_cls.h>
#include "classify.h"
#include "connections.h"
#include "limiter.h"
#include "parse.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Agent sets before load: hand the deciding rule to tc programs in the XDP metadata area. */
const volatile bool write_metadata = false;

#define FRAGMENT_MEMORY_NS (30 * SECOND_NS)

static __always_inline const struct generation *active_generation(struct packet *packet)
{
	__u32 zero = 0;
	struct control *table = bpf_map_lookup_elem(&control, &zero);

	if (!table)
		return NULL;
	packet->generation = table->active & 1;
	return &table->generations[packet->generation];
}

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

static __always_inline void decide(struct packet *packet, enum verdict verdict, enum reason reason)
{
	packet->verdict = verdict;
	packet->reason = reason;
}

static __always_inline void make_fragment_key(const struct packet *packet, struct fragment_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	__builtin_memcpy(key->source, packet->source, 16);
	__builtin_memcpy(key->destination, packet->destination, 16);
	key->id = packet->fragment_id;
	key->protocol = packet->fragment_protocol;
	key->family = packet->family;
}

/* A later fragment follows its first. True when that decided. */
static __noinline bool follow_first_fragment(struct packet *packet)
{
	struct fragment_key key;
	struct fragment *first;

	make_fragment_key(packet, &key);
	first = bpf_map_lookup_elem(&fragments, &key);
	if (!first || bpf_ktime_get_ns() > first->until_ns)
		return false;
	packet->slot = first->slot;
	packet->action = first->action;
	packet->target = first->target;
	packet->target_count = first->target_count;
	decide(packet, first->verdict, first->reason);
	/* A default that spared the first did not count it. */
	if (!packet->tracing && packet->slot && packet->reason != REASON_ESTABLISHED)
		count_rule(packet->slot, packet->length, packet->reason == REASON_LIMIT);
	return true;
}

static __noinline void remember_first_fragment(const struct packet *packet)
{
	struct fragment_key key;
	struct fragment first = {
		.until_ns = bpf_ktime_get_ns() + FRAGMENT_MEMORY_NS,
		.slot = packet->slot,
		.verdict = packet->verdict,
		.reason = packet->reason,
		.action = packet->action,
		.target = packet->target,
		.target_count = packet->target_count,
	};

	make_fragment_key(packet, &key);
	bpf_map_update_elem(&fragments, &key, &first, BPF_ANY);
}

/* What a matching rule does to this packet. */
static __always_inline __u8 effect_of(struct xdp_md *ctx, const struct generation *generation,
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

/*
 * Applies one matching rule. Returns WALK_DECIDED, or the rule where the walk goes on.
 * A global function: the verifier proves it once instead of once per step of the walk.
 */
__noinline int apply_rule(struct xdp_md *ctx, struct packet *packet, __u32 index)
{
	__u32 zero = 0, row;
	struct control *table = bpf_map_lookup_elem(&control, &zero);
	const struct generation *generation;
	const struct rule *rule;
	__u8 effect, audit;

	if (!table || !packet)
		return WALK_DECIDED;
	generation = &table->generations[packet->generation & 1];
	row = generation->rules_half * MAX_RULES + index;
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
__noinline int walk_word(struct xdp_md *ctx, struct packet *packet, __u32 word, __u64 bits)
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
					     __u32 index)
{
	__u32 row = generation->rules_half * MAX_RULES + index;
	const struct rule *rule = bpf_map_lookup_elem(&rules, &row);

	if (!rule || rule->flags || rule->log_one_in || rule->action > ACTION_DROP)
		return false;
	count_rule(rule->slot, packet->length, false);
	packet->slot = rule->slot;
	decide(packet, rule->action == ACTION_ACCEPT ? VERDICT_PASS : VERDICT_DROP, REASON_RULE);
	return true;
}

/* Walks the matching rules in order until one decides. */
static __always_inline void walk(struct xdp_md *ctx, const struct generation *generation,
				 struct packet *packet, const struct candidates *found, bool tracing)
{
	__u64 summary = found->summary;
	__u32 from = 0;

	decide(packet, VERDICT_PASS, REASON_NO_RULE);
	for (int i = 0; i < RULE_WORDS && summary; i++) {
		__u32 word = first_bit(summary);
		__u64 bits = candidate_word(found, word);
		int next;

		summary &= summary - 1;
		if (word == from >> 6)
			bits &= ~0ULL << (from & 63);
		if (!bits)
			continue;
		if (!tracing && apply_plain_rule(generation, packet, word * 64 + first_bit(bits)))
			return;
		next = walk_word(ctx, packet, word, bits);
		if (next == WALK_DECIDED || next >= MAX_RULES)
			return;
		from = next;
		summary &= ~0ULL << (from >> 6 & 63);
	}
}

static __always_inline __u32 flow_hash(const struct packet *packet)
{
	__u32 hash = (__u32)packet->source_port << 16 | packet->destination_port;

#pragma unroll
	for (int i = 0; i < 4; i++)
		hash = (hash ^ packet->source[i] ^ packet->destination[i]) * 0x9e3779b1u;
	/* A multiplication carries upwards only: the ports' bits must come down to where a small divisor looks. */
	hash = (hash ^ hash >> 16) * 0x85ebca6bu;
	return hash ^ hash >> 13;
}

/* XDP action of a packet that a rule redirects; a missing target turns it into a drop. */
static __always_inline int redirect(struct xdp_md *ctx, struct packet *packet)
{
	__u32 index = packet->target;
	int action = XDP_ABORTED;

	if (packet->action == ACTION_REDIRECT_CPU) {
		__u32 *cpu;

		if (packet->target_count)
			index += flow_hash(packet) % packet->target_count;
		cpu = bpf_map_lookup_elem(&cpu_targets, &index);
		if (cpu)
			action = bpf_redirect_map(&cpus, *cpu, 0);
	} else if (packet->action == ACTION_REDIRECT_PORT) {
		action = bpf_redirect_map(&tx_ports, index, 0);
	} else if (ctx->rx_queue_index < SOCKET_QUEUES) {
		action = bpf_redirect_map(&sockets, index + ctx->rx_queue_index, 0);
	}
	if (action == XDP_REDIRECT)
		return action;
	decide(packet, VERDICT_DROP, REASON_REDIRECT);
	return XDP_DROP;
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

static __always_inline bool slot_bit(const __u64 *bits, __u32 slot)
{
	return bits[slot >> 6 & 3] >> (slot & 63) & 1;
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
	if (!look_up_fields(generation, packet, slot, &found, tracing))
		return decide(packet, VERDICT_ABORTED, REASON_INTERNAL);
	walk(ctx, generation, packet, &found, tracing);
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

	trace->family = packet.family;
	trace->protocol = packet.protocol;
	trace->vlan_tags = packet.vlan_tags;
	trace->source_port = packet.source_port;
	trace->destination_port = packet.destination_port;
	trace->detail = packet.detail;
	trace->traits = packet.traits;
	trace->fragment = packet.fragment;
	trace->verdict = packet.verdict;
	trace->reason = packet.reason;
	trace->slot = packet.slot;
	return XDP_PASS;
}

/* As parse_traced. */
__noinline int parse_sent(struct __sk_buff *skb, struct packet *packet)
{
	if (!packet)
		return REASON_INTERNAL;
	return parse_frame(packet, (void *)(long)skb->data, (void *)(long)skb->data_end);
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
	if (parse_sent(skb, &packet) == REASON_RULE)
		remember_connection(&packet);
	return TC_ACT_UNSPEC;
}
