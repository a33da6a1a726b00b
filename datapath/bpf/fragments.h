/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Later fragments have no ports: they follow the first of their packet (docs/xdp-policy.md §4). */
#ifndef SLUICE_FRAGMENTS_H
#define SLUICE_FRAGMENTS_H

#include "connections.h"
#include "observe.h"

#define FRAGMENT_MEMORY_NS (30 * SECOND_NS)

static __always_inline void make_fragment_key(const struct packet *packet, struct fragment_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	__builtin_memcpy(key->source, packet->source, 16);
	__builtin_memcpy(key->destination, packet->destination, 16);
	key->id = packet->fragment_id;
	key->protocol = packet->fragment_protocol;
	key->family = packet->family;
	key->stage = packet->stage;
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

#endif
