/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Targets of rules that redirect (docs/xdp-policy.md §6). */
#ifndef SLUICE_REDIRECT_H
#define SLUICE_REDIRECT_H

#include "maps.h"
#include "packet.h"

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

#endif
