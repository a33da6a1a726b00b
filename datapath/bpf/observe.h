/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counters, sampled events, and the trace record. */
#ifndef SLUICE_OBSERVE_H
#define SLUICE_OBSERVE_H

#include "maps.h"
#include "packet.h"

static __always_inline void count_rule(__u32 slot, __u32 bytes, bool exceeded)
{
	struct rule_counter *counter = bpf_map_lookup_elem(&rule_counters, &slot);

	if (!counter)
		return;
	counter->packets++;
	counter->bytes += bytes;
	if (exceeded) {
		counter->exceeded_packets++;
		counter->exceeded_bytes += bytes;
	}
}

/* This CPU may send an event now: the same bucket arithmetic as a rule's limit, without the races. */
static __always_inline bool event_allowed(const struct generation *generation, __u64 now)
{
	__u32 zero = 0;
	__u64 *next = bpf_map_lookup_elem(&event_budget, &zero);
	__u64 interval = generation->event_interval_ns;
	__u64 from;

	if (!next || !interval)
		return false;
	from = *next > now ? *next : now;
	if (from + interval - now > interval * generation->event_burst)
		return false;
	*next = from + interval;
	return true;
}

/* Not inlined, like all that few packets need: its frame stays off the 512-byte stack of the common path. */
static __noinline void send_event(context *ctx, const struct generation *generation,
				  const struct packet *packet, const struct rule *rule, __u8 effect)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	__u64 now = bpf_ktime_get_ns();
	struct event *event;
	__u32 copied = 0;

	if (!event_allowed(generation, now) ||
	    !(event = bpf_ringbuf_reserve(&events, sizeof(*event), 0))) {
		__u32 zero = 0;
		__u64 *lost = bpf_map_lookup_elem(&events_lost, &zero);

		if (lost)
			(*lost)++;
		return;
	}
	event->time_ns = now;
	event->slot = rule->slot;
	event->ifindex = packet->ifindex;
	event->length = packet->length;
	event->effect = effect;
	event->pad = 0;
	event->subject = packet->subject;
	for (int i = 0; i < EVENT_BYTES / 8; i++) {
		__u64 *chunk = data + i * 8;

		if ((void *)(chunk + 1) > data_end)
			break;
		__builtin_memcpy(&event->bytes[i * 8], chunk, 8);
		copied += 8;
	}
	for (int i = 0; i < 7 && copied < EVENT_BYTES; i++) {
		__u8 *byte = data + copied;

		if ((void *)(byte + 1) > data_end)
			break;
		event->bytes[copied & (EVENT_BYTES - 1)] = *byte;
		copied++;
	}
	event->captured = copied;
	bpf_ringbuf_submit(event, 0);
}

static __always_inline bool sampled(const struct rule *rule)
{
	__u32 one_in = rule->log_one_in;

	return one_in == 1 || (one_in && bpf_get_prandom_u32() % one_in == 0);
}

static __always_inline struct trace *trace_record(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&traces, &zero);
}

/* What the stages learned of the packet, and what they decided. */
static __always_inline void finish_trace(struct trace *trace, const struct packet *packet)
{
	trace->family = packet->family;
	trace->protocol = packet->protocol;
	trace->vlan_tags = packet->vlan_tags;
	trace->source_port = packet->source_port;
	trace->destination_port = packet->destination_port;
	trace->detail = packet->detail;
	trace->traits = packet->traits;
	trace->fragment = packet->fragment;
	trace->verdict = packet->verdict;
	trace->reason = packet->reason;
	trace->slot = packet->slot;
}

static __always_inline void trace_step(__u32 index, __u32 slot, __u32 effect)
{
	struct trace *trace = trace_record();

	if (!trace || trace->step_count >= TRACE_STEPS)
		return;

	struct trace_step *step = &trace->steps[trace->step_count & (TRACE_STEPS - 1)];

	step->rule = index;
	step->slot = slot;
	step->effect = effect;
	trace->step_count++;
}

#endif
