/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keys, values and enums of all tables: the one source; TypeScript codecs are generated from it. */
#ifndef SLUICE_TYPES_H
#define SLUICE_TYPES_H

#include <linux/types.h>
#include "limits.h"

enum rule_action {
	ACTION_ACCEPT = 1,
	ACTION_DROP,
	ACTION_PASS,
	ACTION_LIMIT,
	ACTION_REDIRECT_CPU,
	ACTION_REDIRECT_PORT,
	ACTION_REDIRECT_SOCKET,
};

enum rule_flags {
	/* The policy only reports: the walk goes on behind it. */
	RULE_AUDIT = 1,
	/* A policy's defaultAction; a Drop spares replies to the node's own connections. */
	RULE_DEFAULT = 2,
};

enum verdict {
	VERDICT_PASS,
	VERDICT_DROP,
	VERDICT_REDIRECT,
	VERDICT_ABORTED,
	VERDICTS,
};

/* Why a packet got its verdict. Names in kebab case are what people see. */
enum reason {
	REASON_NO_RULE,
	REASON_NOT_JUDGED,
	REASON_NOT_IP,
	REASON_RULE,
	REASON_DEFAULT,
	REASON_LIMIT,
	REASON_REDIRECT,
	REASON_ESTABLISHED,
	REASON_TRUNCATED,
	REASON_VLAN_DEPTH,
	REASON_EXTENSION_HEADERS,
	/* A table lookup that cannot fail failed: XDP_ABORTED. */
	REASON_INTERNAL,
	/* A pod's packet does not carry the pod's own addresses. */
	REASON_SPOOFED,
	REASON_UNKNOWN_POD,
	/* Part of a flow that a rule allowed. */
	REASON_FLOW,
	/* A port of the node stands for a pod's, but the packet cannot be changed to go there. */
	REASON_TRANSLATION,
	REASONS = 16,
};

enum { OUTCOMES = VERDICTS * REASONS };

/* What a matching rule did to the packet, for events and traces. */
enum effect {
	EFFECT_NONE,
	EFFECT_ACCEPT,
	EFFECT_DROP,
	EFFECT_PASS,
	EFFECT_WITHIN_LIMIT,
	EFFECT_ABOVE_LIMIT,
	EFFECT_REDIRECT,
	EFFECT_ESTABLISHED,
	/* Audit policies: what would have happened is in the other bits. */
	EFFECT_AUDIT = 128,
};

enum trait {
	TRAIT_FRAGMENT = 1,
	TRAIT_IP_OPTIONS = 2,
	TRAIT_SAME_ADDRESS = 4,
	TRAIT_MARTIAN_SOURCE = 8,
	TRAIT_ZERO_PORT = 16,
	TRAIT_IMPOSSIBLE_TCP_FLAGS = 32,
};

enum field {
	FIELD_SOURCE = 1,
	FIELD_DESTINATION = 2,
	FIELD_PORT = 4,
	FIELD_SOURCE_PORT = 8,
	FIELD_DETAIL = 16,
	FIELD_TRAITS = 32,
};

enum generation_flags {
	/* Some policy has a default Drop: remember connections the node opens. */
	GENERATION_CONNECTIONS = 1,
};

/* Who judges: a pod's packet may meet the policies of two pods, one after the other. */
enum stage {
	STAGE_UPLINK,
	/* What a pod sends, by its egress policies. */
	STAGE_OUT,
	/* What a pod receives, by its ingress policies. */
	STAGE_IN,
};

enum limit_unit { LIMIT_PACKETS, LIMIT_BYTES };
enum limit_scope { LIMIT_NODE, LIMIT_SOURCE };

/* Everything one packet needs to know about the rules in force: changes only while inactive. */
struct generation {
	__u32 number;
	/* 0 or 1: the half of the rule and class tables. */
	__u32 rules_half;
	/* 0 or 1: the half of the IPv4 top table. */
	__u32 v4_half;
	/* enum field: fields that at least one rule constrains. */
	__u32 fields;
	/* enum generation_flags */
	__u32 flags;
	/* First line and mask of the IPv6 bucket table; mask + 1 buckets. */
	__u32 v6_buckets;
	__u32 v6_bucket_mask;
	/* First line and count of the intervals from prefixes shorter than /48. */
	__u32 v6_short;
	__u32 v6_short_count;
	/* Events: one per this many ns per CPU, and how many at once. 0: no events. */
	__u32 event_interval_ns;
	__u32 event_burst;
	/* Rows in force; programs find them through bitmaps, an agent that starts counts by this. */
	__u32 rule_count;
	/* Bit per interface slot: some policy judges it; packets that cannot be parsed are dropped. */
	__u64 judged[SLOT_WORDS];
	__u64 drop_unparsable[SLOT_WORDS];
};

struct control {
	/* Index of the generation in force: one 32-bit store flips it. */
	__u32 active;
	__u32 pad;
	struct generation generations[2];
};

/* Which rules accept a class. */
struct rule_bitmap {
	/* Bit w is set when words[w] is not zero. */
	__u64 summary;
	__u64 words[RULE_WORDS];
};

struct rule {
	/* enum rule_action */
	__u8 action;
	/* enum rule_flags */
	__u8 flags;
	/* First rule behind this rule's policy. */
	__u16 resume;
	/* First bit behind this rule, which may take several. */
	__u16 next;
	__u16 pad0;
	/* Index of the rule's counters and name. */
	__u32 slot;
	/* ACTION_LIMIT: index in limits. ACTION_REDIRECT_*: first target. */
	__u32 target;
	/* ACTION_REDIRECT_CPU: how many targets. */
	__u32 target_count;
	/* An event for one packet of this many; 0: none. */
	__u32 log_one_in;
};

/* Token bucket as a time: see limiter.h. Times in 1/16 ns. */
struct limit {
	/* Time that 2^10 units (packets or bytes) take, in 1/16 ns. */
	__u64 cost;
	/* Time of a full bucket. */
	__u64 burst;
	__u32 unit;
	__u32 scope;
	__u32 v4_prefix;
	__u32 v6_prefix;
};

struct bucket_key {
	__u32 slot;
	/* 4 or 6: 240.0.0.0/4 and f000::/4 look the same. */
	__u32 family;
	__u32 address[4];
};

/* 64 bytes of the address tables; what it holds depends on what points to it (addresses.h). */
struct line {
	__u64 words[8];
};

struct interface {
	/* 1 … MAX_INTERFACE_SLOTS − 1; 0: not ours. */
	__u32 slot;
};

struct counter {
	__u64 packets;
	__u64 bytes;
};

struct rule_counter {
	__u64 packets;
	__u64 bytes;
	/* Limit rules: the part that was above the rate. */
	__u64 exceeded_packets;
	__u64 exceeded_bytes;
};

/* The rule a slot counts for: "policy" and "rule", NUL-terminated. Kept beside the counters so that both
 * outlive the agent. */
struct rule_name {
	char policy[256];
	char rule[64];
};

/* Addresses are in network order as they stand in the packet; IPv4 fills the first word. Of a flow, `local` is who
 * opened it. ICMP echo: the identifier in both ports. */
struct connection_key {
	__u32 local[4];
	__u32 remote[4];
	__u16 local_port;
	__u16 remote_port;
	__u8 protocol;
	__u8 family;
	__u16 pad;
};

struct connection {
	__u64 last_out_ns;
	__u64 lifetime_ns;
};

struct fragment_key {
	__u32 source[4];
	__u32 destination[4];
	__u32 id;
	__u8 protocol;
	__u8 family;
	/* enum stage: the verdict of each is remembered apart. */
	__u16 stage;
};

struct fragment {
	__u64 until_ns;
	__u32 slot;
	__u8 verdict;
	__u8 reason;
	__u8 action;
	__u8 pad;
	__u32 target;
	__u32 target_count;
};

/* Directions of a pod that have a rate in pod_rates. */
enum pod_limits { POD_LIMIT_OUT = 1, POD_LIMIT_IN = 2 };

/* A local pod by the host's end of its veth. */
struct pod_interface {
	/* Network order; 0: it has none of this family. */
	__u32 ipv4;
	__u32 ipv6[4];
	__u8 mac[6];
	/* enum pod_limits */
	__u16 limits;
	/* Interface slots of the pod as a sender and as a receiver. */
	__u32 slot_out;
	__u32 slot_in;
};

struct pod_key {
	/* Network order; IPv4 in the first word. */
	__u32 address[4];
	__u32 family;
};

/* A local pod by address: what it takes to hand it a packet. */
struct pod {
	/* Of the host's end of its veth. */
	__u32 ifindex;
	__u32 slot_out;
	__u32 slot_in;
	__u8 mac[6];
	/* The gateway that the pod knows: the host's end. */
	__u8 gateway_mac[6];
	/* enum pod_limits */
	__u32 limits;
};

/* Token bucket of bytes as a time: see limiter.h. Times in 1/16 ns. */
struct pod_rate {
	/* When the bucket is full again. */
	__u64 full_at;
	/* Time that 2^10 bytes take. */
	__u64 cost;
	/* Time of a full bucket. */
	__u64 burst;
};

/* A range of pods on another node, found by the longest prefix. */
struct pod_route_key {
	/* Of what follows: 32 for the family, and those of the range. */
	__u32 prefix_bits;
	__u32 family;
	/* Network order; IPv4 in the first word. */
	__u32 address[4];
};

enum pod_route_flags {
	/* Its packets come through this device and no other one. */
	POD_ROUTE_TUNNEL = 1,
};

struct pod_route {
	/* Of the device that leads there. */
	__u32 ifindex;
	/* enum pod_route_flags */
	__u32 flags;
};

/* An address of the node itself, of which some ports may be pods'. */
struct node_address {
	/* How many; 0: nothing is looked for. */
	__u32 host_ports;
};

struct host_port_key {
	/* Of the node, in network order; IPv4 in the first word. */
	__u32 address[4];
	/* Host order. */
	__u16 port;
	__u8 protocol;
	__u8 family;
};

/* The pod that stands behind it. */
struct host_port {
	__u32 address[4];
	__u16 port;
	__u16 pad;
};

/* Addresses in network order, ports in host order. */
struct endpoints {
	__u32 source[4];
	__u32 destination[4];
	__u16 source_port;
	__u16 destination_port;
};

/* What the first fragment of a translated packet became. */
struct translated_fragment {
	__u64 until_ns;
	/* Ports are not used. */
	struct endpoints became;
	__u32 pad;
};

enum flow_flags {
	/* The other side has answered. */
	FLOW_REPLIED = 1,
	FLOW_FIN_FORTH = 2,
	FLOW_FIN_BACK = 4,
	FLOW_RESET = 8,
	/* Its key has what the packets of the opener became; `opened_as` is what they were. */
	FLOW_TRANSLATED = 16,
	/* Of a pod to itself by an address of the node: never judged. */
	FLOW_TO_ITSELF = 32,
};

/* What one pod's policies said of a flow. */
struct flow_judgement {
	/* Number of the generation that allowed it; 0: they were not asked. */
	__u32 generation;
	/* Of the rule that allowed it; 0: none matched. */
	__u32 slot;
};

struct flow {
	/* CLOCK_MONOTONIC */
	__u64 created_ns;
	__u64 last_ns;
	__u64 packets_forth;
	__u64 bytes_forth;
	__u64 packets_back;
	__u64 bytes_back;
	/* Egress policies of the pod that opened it, ingress policies of the pod that it was opened to. */
	struct flow_judgement out;
	struct flow_judgement in;
	/* After so long without a packet the flow is over. */
	__u32 lifetime_s;
	/* enum flow_flags */
	__u32 flags;
	/* FLOW_TRANSLATED: source and destination as the one who opened it has them. */
	struct endpoints opened_as;
	__u32 pad;
};

/* What became of rows of `flows`; each kind is counted by whom it names. */
struct flow_counts {
	/* Rows that programs made, and that they took out because a policy refuses the flow now. */
	__u64 opened;
	__u64 refused;
	/* Flows that found no row at all: their packets are judged one by one. */
	__u64 homeless;
};

struct flow_collection {
	/* Rows that agents took out because the flow was over. */
	__u64 expired;
	/* Rows from the tables of another layout. */
	__u64 carried;
	/* Rows that the full table has given to others, at least. */
	__u64 evicted;
};

struct event {
	/* CLOCK_MONOTONIC */
	__u64 time_ns;
	__u32 slot;
	__u32 ifindex;
	/* Frame length, and how many bytes of it follow. */
	__u16 length;
	__u16 captured;
	/* enum effect */
	__u8 effect;
	__u8 pad;
	/* Interface slot of the pod whose rule it is; 0: the uplink's rules. */
	__u16 subject;
	__u8 bytes[EVENT_BYTES];
};

/* In front of a passed packet (XDP metadata), for tc programs. */
struct verdict_metadata {
	__u32 magic;
	__u32 slot;
};

enum { VERDICT_METADATA_MAGIC = 0x534c4331 };

struct trace_step {
	__u32 rule;
	__u32 slot;
	__u32 effect;
};

/* What a run of pod_trace is about, in the cb[0] that it is given. */
enum pod_trace_flags {
	/* What the pod receives; else what it sends. */
	POD_TRACE_INGRESS = 1,
	/* A packet of the flow that the tables know; else the first of a flow that they do not. */
	POD_TRACE_FLOW = 2,
};

/* Where a packet goes that a pod may send. */
enum pod_delivery {
	DELIVERY_STACK,
	/* To a local pod, past the stack. */
	DELIVERY_POD,
	/* To a pod of another node by the kernel's routes, past the stack. */
	DELIVERY_ROUTE,
};

/* What a trace run saw; written only by the trace program. */
struct trace {
	__u32 generation;
	__u32 family;
	__u32 protocol;
	__u32 vlan_tags;
	__u32 source_port;
	__u32 destination_port;
	/* TCP flags, or ICMP type << 8 | code. */
	__u32 detail;
	__u32 traits;
	/* 0: whole packet, 1: first, 2: later fragment. */
	__u32 fragment;
	__u32 interface_slot;
	__u32 source_class;
	__u32 destination_class;
	__u32 port_class;
	__u32 source_port_class;
	__u32 detail_class;
	__u32 traits_class;
	__u32 interface_class;
	__u32 verdict;
	__u32 reason;
	/* Slot of the deciding rule; 0: none. */
	__u32 slot;
	__u32 fields;
	/* enum pod_delivery, of what a pod sends. */
	__u32 delivery;
	__u32 step_count;
	struct trace_step steps[TRACE_STEPS];
};

#endif
