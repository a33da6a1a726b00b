// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Pods: judges what local pods send and receive, by the same tables as the uplink, in a bank of their own.
 *
 *   pod_out   whose veth? -> parse -> its own addresses? -> flow, or egress policies -> deliver, route or stack
 *                                                                                       |
 *                                                   flow, or ingress policies <- local pod
 *   pod_in    whose veth? -> from this node? -> parse -> flow, or ingress policies
 *   pod_arrive a local pod's address? -> not from where it cannot be -> parse -> flow, or ingress policies -> deliver
 *   pod_trace the stages of either, run by `sluicectl trace`: writes each down and changes nothing else
 *
 * Two sit on the host's end of a pod's veth: pod_out on its ingress, pod_in on its egress, where packets come from
 * the stack. pod_arrive sits on the ingress of uplinks and tunnels, in front of the stack. What becomes of each packet is in docs/pods.md.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

typedef struct __sk_buff context;

#include "admit.h"
#include "arrive.h"
#include "deliver.h"
#include "pods.h"
#include "rates.h"
#include "remote.h"
#include "translate.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The link layer address of the pod, whatever the packet says above. */
static __always_inline bool is_own_mac(struct __sk_buff *skb, const struct pod_interface *pod)
{
	struct ethhdr *ethernet = (void *)(long)skb->data;
	const __u16 *source = (void *)ethernet->h_source, *own = (void *)pod->mac;

	return (void *)(ethernet + 1) <= (void *)(long)skb->data_end && source[0] == own[0] &&
	       source[1] == own[1] && source[2] == own[2];
}

/* Not a matter of policy: nothing more is asked of it. */
static __always_inline bool settle(struct packet *packet, enum verdict verdict, enum reason reason)
{
	decide(packet, verdict, reason);
	return false;
}

/* What a pod sends, before it is asked where to. True when it goes on there. */
static __always_inline bool judge_sent(struct __sk_buff *skb, struct packet *packet,
				       const struct pod_interface *pod, bool tracing)
{
	enum reason reason;

	if (!is_own_mac(skb, pod))
		return settle(packet, VERDICT_DROP, REASON_SPOOFED);
	reason = read_packet(skb, packet);
	if (reason == REASON_NOT_IP && skb->protocol == bpf_htons(ETH_P_ARP))
		return settle(packet, VERDICT_PASS, reason);
	if (reason != REASON_RULE)
		return settle(packet, VERDICT_DROP, reason);
	if (is_link_control(packet, pod))
		return settle(packet, VERDICT_PASS, REASON_NOT_JUDGED);
	if (!is_from_pod(packet, pod))
		return settle(packet, VERDICT_DROP, REASON_SPOOFED);

	active_generation(packet);
	if (goes_to_host_ports(packet) && skb->pkt_type == PACKET_HOST && translate_forth(skb, packet) == SPOILT)
		return settle(packet, VERDICT_DROP, REASON_TRANSLATION);
	/* A pod may always talk to itself. */
	if (packet->traits & TRAIT_SAME_ADDRESS) {
		decide(packet, VERDICT_PASS, REASON_NOT_JUDGED);
		if (packet->translation && !tracing)
			settle_flow(packet, FLOW_NONE);
		return true;
	}
	admit(skb, packet, pod->slot_out, pod->slot_in, tracing);
	return packet->verdict == VERDICT_PASS;
}

/* What the stack hands to a pod. */
static __always_inline void judge_received(struct __sk_buff *skb, struct packet *packet,
					   const struct pod_interface *pod, bool tracing)
{
	enum reason reason;

	/* A packet that came in by no interface is this node's own, such as a kubelet's probe. */
	if (!skb->ingress_ifindex)
		return decide(packet, VERDICT_PASS, REASON_NOT_JUDGED);
	reason = read_packet(skb, packet);
	if (reason != REASON_RULE)
		return decide(packet, VERDICT_DROP, reason);
	if (packet->traits & TRAIT_SAME_ADDRESS)
		return decide(packet, VERDICT_PASS, REASON_NOT_JUDGED);

	active_generation(packet);
	admit(skb, packet, pod->slot_out, pod->slot_in, tracing);
}

/* To no pod of this node: past the stack where it can be. */
static __always_inline int leave(struct __sk_buff *skb, struct packet *packet, bool past_stack)
{
	bool answers = packet->translation == TRANSLATION_BACK;

	/* The pod went while its ports were still there. */
	if (packet->translation == TRANSLATION_DONE)
		return TC_ACT_SHOT;
	if (answers && !translate_back(skb, packet))
		return TC_ACT_SHOT;
	/* The node's own address is the source by now, and nothing is left to do for netfilter. */
	if (past_stack && (answers || pod_route_to(packet->family, packet->destination)))
		return send_by_route(skb, packet);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int pod_out(struct __sk_buff *skb)
{
	struct packet packet = packet_at(skb, STAGE_OUT);
	const struct pod_interface *pod = pod_behind(packet.ifindex);
	const struct pod *to;
	bool goes_on;

	if (!pod)
		return refuse(&packet, 0, REASON_UNKNOWN_POD);
	goes_on = judge_sent(skb, &packet, pod, false);
	if (goes_on)
		keep_rate(skb, &packet, pod->limits, POD_LIMIT_OUT, pod->slot_out);
	count_outcome(&packet, pod->slot_out);
	if (packet.verdict != VERDICT_PASS)
		return TC_ACT_SHOT;

	if (!goes_on)
		return TC_ACT_UNSPEC;
	if (packet.fragment == FRAGMENT_LATER && packet.translation == TRANSLATION_NONE)
		recall_answer(&packet);
	if (!can_deliver(skb, &packet))
		return leave(skb, &packet, false);
	to = packet.translation == TRANSLATION_BACK ? pod_at(packet.family, packet.opened_as.source) :
						      pod_at_destination(&packet);
	if (!to)
		return leave(skb, &packet, true);
	packet.stage = STAGE_IN;
	packet.slot = 0;
	if (to->ifindex != packet.ifindex)
		admit(skb, &packet, to->slot_out, to->slot_in, false);
	keep_rate(skb, &packet, to->limits, POD_LIMIT_IN, to->slot_in);
	count_outcome(&packet, to->slot_in);
	if (packet.verdict != VERDICT_PASS)
		return TC_ACT_SHOT;
	if (packet.translation == TRANSLATION_BACK && !translate_back(skb, &packet))
		return refuse(&packet, to->slot_in, REASON_TRANSLATION);
	return deliver(skb, &packet, to);
}

SEC("tc")
int pod_in(struct __sk_buff *skb)
{
	struct packet packet = packet_at(skb, STAGE_IN);
	const struct pod_interface *pod = pod_behind(packet.ifindex);

	if (!pod)
		return refuse(&packet, 0, REASON_UNKNOWN_POD);
	judge_received(skb, &packet, pod, false);
	if (packet.reason != REASON_NOT_JUDGED)
		keep_rate(skb, &packet, pod->limits, POD_LIMIT_IN, pod->slot_in);
	count_outcome(&packet, pod->slot_in);
	return packet.verdict == VERDICT_PASS ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

/* What a port of the node stands for. NULL: nothing, or it is refused. */
static __always_inline const struct pod *pod_behind_port(struct __sk_buff *skb, struct packet *packet)
{
	const struct pod *to;
	int state;

	if (read_packet(skb, packet) != REASON_RULE || (packet->traits & TRAIT_MARTIAN_SOURCE))
		return NULL;
	state = translate_forth(skb, packet);
	if (state == NOT_TRANSLATED)
		return NULL;
	to = state == TRANSLATED ? pod_at_destination(packet) : NULL;
	if (!to)
		decide(packet, VERDICT_DROP, REASON_TRANSLATION);
	return to;
}

SEC("tc")
int pod_arrive(struct __sk_buff *skb)
{
	struct packet packet = packet_at(skb, STAGE_IN);
	int arrival = arrival_of(skb, &packet);
	const struct pod *to;
	enum reason reason;

	if (arrival == ARRIVES_FOR_OTHERS)
		return TC_ACT_UNSPEC;
	if (arrival == ARRIVES_AS_POD)
		return refuse(&packet, 0, REASON_SPOOFED);
	if (arrival == ARRIVES_FOR_NODE) {
		to = pod_behind_port(skb, &packet);
		if (!to)
			return packet.verdict == VERDICT_DROP ? refuse(&packet, 0, packet.reason) : TC_ACT_UNSPEC;
	} else {
		to = pod_at_destination(&packet);
		if (!to)
			return TC_ACT_UNSPEC;
		if (arrival == ARRIVES_ASTRAY)
			return refuse(&packet, to->slot_in, REASON_SPOOFED);
		reason = read_packet(skb, &packet);
		if (reason != REASON_RULE)
			return refuse(&packet, to->slot_in, reason);
	}
	/* The stack has its say, and what it forwards comes to pod_in. */
	if ((packet.traits & TRAIT_MARTIAN_SOURCE) || !can_deliver(skb, &packet))
		return TC_ACT_UNSPEC;
	active_generation(&packet);
	admit(skb, &packet, to->slot_out, to->slot_in, false);
	keep_rate(skb, &packet, to->limits, POD_LIMIT_IN, to->slot_in);
	count_outcome(&packet, to->slot_in);
	return packet.verdict == VERDICT_PASS ? deliver(skb, &packet, to) : TC_ACT_SHOT;
}

/* Where pod_out would take a packet for which can_deliver() holds. */
static __always_inline enum pod_delivery delivery_of(struct __sk_buff *skb, struct packet *packet)
{
	if (pod_at_destination(packet))
		return DELIVERY_POD;
	if (!pod_route_to(packet->family, packet->destination))
		return DELIVERY_STACK;
	/* A test run carries no redirect out. */
	return send_by_route(skb, packet) == TC_ACT_REDIRECT ? DELIVERY_ROUTE : DELIVERY_STACK;
}

/* One end of a packet's way: by the policies of the pod behind the interface, as enum pod_trace_flags in cb[0] say. */
SEC("tc")
int pod_trace(struct __sk_buff *skb)
{
	bool ingress = skb->cb[0] & POD_TRACE_INGRESS;
	struct packet packet = packet_at(skb, ingress ? STAGE_IN : STAGE_OUT);
	const struct pod_interface *pod = pod_behind(packet.ifindex);
	struct trace *trace = trace_record();

	if (!trace)
		return TC_ACT_SHOT;
	__builtin_memset(trace, 0, sizeof(*trace));
	/* No flow counts it, as if one had. */
	packet.tracing = packet.in_flow = true;
	if (!pod)
		decide(&packet, VERDICT_DROP, REASON_UNKNOWN_POD);
	else if (ingress)
		judge_received(skb, &packet, pod, true);
	else if (judge_sent(skb, &packet, pod, true) && can_deliver(skb, &packet))
		trace->delivery = delivery_of(skb, &packet);
	finish_trace(trace, &packet);
	return TC_ACT_UNSPEC;
}
