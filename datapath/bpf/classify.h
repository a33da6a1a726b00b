/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every rule is one bit. Each field of the packet is looked up once and gives the bitmap of rules that accept it; the
 * AND of the bitmaps holds the matching rules in order of judgement. A field that no rule constrains is not looked up:
 * its bitmap stands in as a copy of another one, which the AND does not notice.
 *
 * A bitmap holds a page of MAX_RULES rules. More of them are more pages, judged one after the other: a class has a
 * bitmap in each, and a rule's index counts through all of them.
 */
#ifndef SLUICE_CLASSIFY_H
#define SLUICE_CLASSIFY_H

#include "addresses.h"
#include "observe.h"

struct candidates {
	const struct rule_bitmap *interface;
	const struct rule_bitmap *source;
	const struct rule_bitmap *destination;
	const struct rule_bitmap *port;
	const struct rule_bitmap *source_port;
	const struct rule_bitmap *detail;
	const struct rule_bitmap *traits;
	/* Words that may hold a matching rule. */
	__u64 summary;
};

static __always_inline __u32 field_class(const struct generation *generation, __u32 index)
{
	struct line *line = line_at(&field_classes, generation->rules_half *
							    (CLASS_TABLE_ENTRIES / CLASSES_PER_LINE) +
						    index / CLASSES_PER_LINE);

	return line ? half_at(line, index) : 0;
}

static __always_inline const struct rule_bitmap *bitmap_of(const struct generation *generation, __u32 page,
							   __u32 base, __u32 class)
{
	__u32 index = (2 * page + generation->rules_half) * BITMAPS + base + class;

	return bpf_map_lookup_elem(&bitmaps, &index);
}

/* Section of the destination-port table, or the row of a packet without ports. */
static __always_inline __u32 port_index(const struct packet *packet)
{
	if (packet->has_ports) {
		__u32 table = packet->protocol == PROTO_TCP ? 0 : packet->protocol == PROTO_UDP ? 1 : 2;

		return SECTION_DESTINATION_PORT + table * 65536 + packet->destination_port;
	}
	return SECTION_PROTOCOL + (packet->fragment == FRAGMENT_LATER ? 512 : 0) +
	       (packet->family == 6 ? 256 : 0) + packet->protocol;
}

static __always_inline __u32 source_port_index(const struct packet *packet)
{
	__u32 table = packet->protocol == PROTO_TCP ? 0 : packet->protocol == PROTO_UDP ? 1 : 2;

	return SECTION_SOURCE_PORT + table * 65536 + packet->source_port;
}

/* Rules on flags and types name their protocol, so the port field already excludes them for all others. */
static __always_inline __u32 detail_index(const struct packet *packet)
{
	if (packet->fragment == FRAGMENT_LATER)
		return 0;
	if (packet->protocol == PROTO_TCP)
		return SECTION_TCP_FLAGS + (packet->detail & 255);
	if (packet->protocol == PROTO_ICMP && packet->family == 4)
		return SECTION_ICMP + packet->detail;
	if (packet->protocol == PROTO_ICMPV6 && packet->family == 6)
		return SECTION_ICMPV6 + packet->detail;
	return 0;
}

static __always_inline bool look_up_fields(const struct generation *generation, const struct packet *packet,
					   __u32 slot, __u32 page, struct candidates *found, bool tracing)
{
	__u32 class = field_class(generation, SECTION_INTERFACE + (slot & (MAX_INTERFACE_SLOTS - 1)));
	const struct rule_bitmap *same = bitmap_of(generation, page, BITMAPS_FIELD, class);
	struct trace *trace = tracing ? trace_record() : NULL;
	__u32 fields = generation->fields, index;

	if (!same)
		return false;
	if (trace) {
		trace->interface_slot = slot;
		trace->interface_class = class;
		trace->generation = generation->number;
		trace->fields = fields;
	}
	found->interface = same;

	found->source = found->destination = found->port = same;
	found->source_port = found->detail = found->traits = same;
	/* Most slots have all their rules in one page. */
	if (page && !same->summary) {
		found->summary = 0;
		return true;
	}
	if (fields & FIELD_SOURCE) {
		class = address_class(generation, packet, packet->source);
		found->source = bitmap_of(generation, page, 0, class);
		if (trace)
			trace->source_class = class;
	}
	if (fields & FIELD_DESTINATION) {
		class = address_class(generation, packet, packet->destination);
		found->destination = bitmap_of(generation, page, BITMAPS_DESTINATION, class);
		if (trace)
			trace->destination_class = class;
	}
	if (fields & FIELD_PORT) {
		class = field_class(generation, port_index(packet));
		found->port = bitmap_of(generation, page, BITMAPS_FIELD, class);
		if (trace)
			trace->port_class = class;
	}
	if ((fields & FIELD_SOURCE_PORT) && packet->has_ports) {
		class = field_class(generation, source_port_index(packet));
		found->source_port = bitmap_of(generation, page, BITMAPS_FIELD, class);
		if (trace)
			trace->source_port_class = class;
	}
	if ((fields & FIELD_DETAIL) && (index = detail_index(packet))) {
		class = field_class(generation, index);
		found->detail = bitmap_of(generation, page, BITMAPS_FIELD, class);
		if (trace)
			trace->detail_class = class;
	}
	if (fields & FIELD_TRAITS) {
		class = field_class(generation, SECTION_TRAITS + packet->traits);
		found->traits = bitmap_of(generation, page, BITMAPS_FIELD, class);
		if (trace)
			trace->traits_class = class;
	}
	if (!found->source || !found->destination || !found->port || !found->source_port || !found->detail ||
	    !found->traits)
		return false;
	found->summary = same->summary & found->source->summary & found->destination->summary &
			 found->port->summary & found->source_port->summary & found->detail->summary &
			 found->traits->summary;
	return true;
}

static __always_inline __u64 candidate_word(const struct candidates *found, __u32 word)
{
	word &= RULE_WORDS - 1;
	return found->interface->words[word] & found->source->words[word] & found->destination->words[word] &
	       found->port->words[word] & found->source_port->words[word] & found->detail->words[word] &
	       found->traits->words[word];
}

#endif
