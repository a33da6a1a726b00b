/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Table sizes. The TypeScript side reads them from the objects' BTF. */
#ifndef SLUICE_LIMITS_H
#define SLUICE_LIMITS_H

enum limits {
	/* One page: a 64-bit summary over 64 words. */
	MAX_RULES = 4096,
	RULE_WORDS = 64,
	/* The pods' tables have several, so that one pod may have more rules than a page holds. */
	MAX_POD_PAGES = 2,
	MAX_POD_RULES = MAX_POD_PAGES * MAX_RULES,

	MAX_ADDRESS_CLASSES = 8192,
	/* Classes of all other fields together: ports, flags, types, traits, interfaces. */
	MAX_FIELD_CLASSES = 8192,
	/* One half of the bitmap table: source, destination, then field classes. */
	BITMAPS_DESTINATION = MAX_ADDRESS_CLASSES,
	BITMAPS_FIELD = 2 * MAX_ADDRESS_CLASSES,
	BITMAPS = 2 * MAX_ADDRESS_CLASSES + MAX_FIELD_CLASSES,

	/* Of one page. Counters live by slot; a slot keeps its rule through edits and restarts. */
	MAX_RULE_SLOTS = 8192,
	MAX_LIMITS = 1024,
	MAX_BUCKETS = 131072,
	MAX_CONNECTIONS = 131072,
	MAX_FRAGMENTS = 16384,

	/* Of the uplink's tables an interface takes one, of the pods' tables a pod two. */
	MAX_INTERFACE_SLOTS = 1024,
	SLOT_WORDS = MAX_INTERFACE_SLOTS / 64,
	/* What the uplink gives out: its counters come per slot and CPU, and no node has more interfaces. */
	MAX_UPLINK_SLOTS = 256,

	/* Slot 0 is nobody's, and a pod takes two. */
	MAX_PODS = MAX_INTERFACE_SLOTS / 2 - 1,
	MAX_POD_ADDRESSES = 2 * MAX_PODS,
	/* A node of each family has one. */
	MAX_POD_ROUTES = 32768,
	MAX_NODE_ADDRESSES = 4096,
	/* One for each address of the node that a pod's port is to be had by. */
	MAX_HOST_PORTS = 16384,
	MAX_TRANSLATED_FRAGMENTS = 4096,
	/* Of an object that nobody sized: --flows. */
	MAX_FLOWS = 131072,
	/* How long a flow lives on without a packet. */
	FLOW_TCP_OPENING_SECONDS = 60,
	FLOW_TCP_SECONDS = 21600,
	FLOW_TCP_CLOSED_SECONDS = 10,
	FLOW_UDP_SECONDS = 30,
	FLOW_UDP_REPLIED_SECONDS = 180,
	FLOW_ICMP_SECONDS = 30,
	FLOW_OTHER_SECONDS = 600,

	/* Interfaces below this index are found in an array, others in a hash. */
	DIRECT_IFINDEX = 4096,

	/* 64-byte lines behind the address tables: 1 M random /32 need about 200 k. */
	MAX_ADDRESS_LINES = 524288,

	MAX_CPU_TARGETS = 1024,
	MAX_CPUS = 256,
	MAX_TX_PORTS = 256,
	SOCKET_QUEUES = 64,
	MAX_SOCKETS = 1024,

	MAX_VLAN_TAGS = 2,
	MAX_EXTENSION_HEADERS = 8,

	EVENT_BYTES = 128,
	EVENT_RING_BYTES = 1048576,
	TRACE_STEPS = 64,
};

/* Layout of the table of 16-bit classes; every section is a multiple of one line (32 classes). */
enum class_sections {
	/* Destination port: TCP, UDP, SCTP, 65,536 each. */
	SECTION_DESTINATION_PORT = 0,
	/* Packets without ports, by protocol number: IPv4, IPv6, then later fragments IPv4, IPv6. */
	SECTION_PROTOCOL = 196608,
	SECTION_SOURCE_PORT = 197632,
	/* TCP flags (256), ICMP type and code (65,536), ICMPv6 the same. */
	SECTION_TCP_FLAGS = 394240,
	SECTION_ICMP = 394496,
	SECTION_ICMPV6 = 460032,
	SECTION_TRAITS = 525568,
	SECTION_INTERFACE = 525696,
	CLASS_TABLE_ENTRIES = SECTION_INTERFACE + MAX_INTERFACE_SLOTS,
	CLASSES_PER_LINE = 32,
};

#endif
