/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The rules in force: every packet is judged by one generation from start to end. */
#ifndef SLUICE_GENERATION_H
#define SLUICE_GENERATION_H

#include "maps.h"
#include "packet.h"

static __always_inline const struct generation *active_generation(struct packet *packet)
{
	__u32 zero = 0;
	struct control *table = bpf_map_lookup_elem(&control, &zero);

	if (!table)
		return NULL;
	packet->generation = table->active & 1;
	return &table->generations[packet->generation];
}

/* The one that the packet is judged by, once it is known. */
static __always_inline const struct generation *generation_of(const struct packet *packet)
{
	__u32 zero = 0;
	struct control *table = bpf_map_lookup_elem(&control, &zero);

	return table ? &table->generations[packet->generation & 1] : NULL;
}

static __always_inline bool slot_bit(const __u64 *bits, __u32 slot)
{
	return bits[slot >> 6 & (SLOT_WORDS - 1)] >> (slot & 63) & 1;
}

#endif
