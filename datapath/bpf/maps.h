/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef SLUICE_MAPS_H
#define SLUICE_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "types.h"

#define MMAPPED_ARRAY(NAME, VALUE, ENTRIES)                                                        \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(map_flags, BPF_F_MMAPABLE);                                                 \
		__uint(max_entries, ENTRIES);                                                      \
		__type(key, __u32);                                                                \
		__type(value, VALUE);                                                              \
	} NAME SEC(".maps")

#define PERCPU_ARRAY(NAME, VALUE, ENTRIES)                                                         \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);                                           \
		__uint(max_entries, ENTRIES);                                                      \
		__type(key, __u32);                                                                \
		__type(value, VALUE);                                                              \
	} NAME SEC(".maps")

#define LRU_HASH(NAME, KEY, VALUE, ENTRIES)                                                        \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_LRU_HASH);                                               \
		__uint(max_entries, ENTRIES);                                                      \
		__type(key, KEY);                                                                  \
		__type(value, VALUE);                                                              \
	} NAME SEC(".maps")

/* Agent writes, programs read: which generation is in force and what it holds. Mapped: a flip is one store. */
MMAPPED_ARRAY(control, struct control, 1);

/* Agent writes the inactive half, programs read the active one: rules in order of judgement. Sizes are of one page of
 * MAX_RULES rules; the pods' tables are loaded with more, one behind the other. */
MMAPPED_ARRAY(rules, struct rule, 2 * MAX_RULES);
MMAPPED_ARRAY(limits, struct limit, 2 * MAX_LIMITS);

/* Agent writes the inactive half: rules that accept each class. One table for all fields, so that the verifier
 * sees one kind of pointer and does not have to prove the walk for every mix of fields. */
MMAPPED_ARRAY(bitmaps, struct rule_bitmap, 2 * BITMAPS);

/* Agent writes the inactive half: 16-bit classes of ports, flags, types, traits, interfaces (enum class_sections). */
MMAPPED_ARRAY(field_classes, struct line, 2 * CLASS_TABLE_ENTRIES / CLASSES_PER_LINE);

/* Agent writes in place: addresses to classes. Lines are immutable once reachable (addresses.h). */
MMAPPED_ARRAY(address_lines, struct line, MAX_ADDRESS_LINES);
/* One 32-bit word per IPv4 /16, two halves of 4,096 lines. */
MMAPPED_ARRAY(v4_top, struct line, 8192);
/* One bit per IPv4 /24, and per hash of an IPv6 /48: 0 means no prefix longer than /0 (IPv6: /47) touches it. */
MMAPPED_ARRAY(v4_touched, struct line, 32768);
MMAPPED_ARRAY(v6_touched, struct line, 32768);

/* Agent writes: interface index to slot. */
MMAPPED_ARRAY(interfaces, struct interface, DIRECT_IFINDEX);
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_INTERFACE_SLOTS);
	__type(key, __u32);
	__type(value, struct interface);
} far_interfaces SEC(".maps");

/* Programs write, agent reads and sums. */
PERCPU_ARRAY(rule_counters, struct rule_counter, MAX_RULE_SLOTS);
/* Index: interface slot * OUTCOMES + verdict * REASONS + reason: one row says it all, so one is written. */
PERCPU_ARRAY(outcome_counters, struct counter, MAX_INTERFACE_SLOTS *OUTCOMES);
/* Index: IP protocol number; 256: not IP. */
PERCPU_ARRAY(protocol_counters, struct counter, 320);

/* Agent writes and reads back after a restart; programs never read: names of the slots. */
MMAPPED_ARRAY(rule_names, struct rule_name, MAX_RULE_SLOTS);

/* Programs write: token buckets of the node, by rule slot, and of sources; least recently used go first. */
MMAPPED_ARRAY(node_buckets, __u64, MAX_RULE_SLOTS);
LRU_HASH(source_buckets, struct bucket_key, __u64, MAX_BUCKETS);

/* Egress program writes, uplink reads: connections this node opened. */
LRU_HASH(connections, struct connection_key, struct connection, MAX_CONNECTIONS);
/* Uplink writes and reads: the verdict of a datagram's first fragment. */
LRU_HASH(fragments, struct fragment_key, struct fragment, MAX_FRAGMENTS);

/* Programs write, agent reads through mmap. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EVENT_RING_BYTES);
} events SEC(".maps");
/* Programs write: when this CPU may send its next event. */
PERCPU_ARRAY(event_budget, __u64, 1);
/* Programs write: events that the cap or a full ring swallowed. */
PERCPU_ARRAY(events_lost, __u64, 1);

/* Agent writes: redirect targets. CPU sets are runs of CPU numbers. */
MMAPPED_ARRAY(cpu_targets, __u32, MAX_CPU_TARGETS);
struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, MAX_CPUS);
	__type(key, __u32);
	__type(value, struct bpf_cpumap_val);
} cpus SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, MAX_TX_PORTS);
	__type(key, __u32);
	__type(value, __u32);
} tx_ports SEC(".maps");
/* A user's program writes its AF_XDP sockets: first index of the socket map's name + queue. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, MAX_SOCKETS);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

/* Trace program writes, agent reads after the one test run that is under way. */
MMAPPED_ARRAY(traces, struct trace, 1);

#endif
