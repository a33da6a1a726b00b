// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Hostile traffic of the lab. The generator runs these programs by BPF_PROG_TEST_RUN in live-frame
 * mode on frames of the right length: each run writes one whole packet and sends it out by the
 * interface the frame "came" from. A frame comes round again as the program left it, so every byte
 * that matters is written every time.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define MAX_NODES 16
#define UDP_PAYLOAD 64

/* Addresses in host order, consecutive for nodes. MAC addresses are 02:00 and the IPv4 address. */
const volatile __u32 first_node = 0;
const volatile __u32 node_count = 1;
const volatile __u32 scanner = 0;
/* The flood comes from anywhere in this block. */
const volatile __u32 flood_network = 0;
const volatile __u32 flood_host_mask = 0;
const volatile __u16 web_port = 8080;

enum traffic { UDP_FLOOD, SYN_FLOOD, PORT_SCAN, TRAFFICS };

/* Written here per packet, read by the generator: packets sent, by kind of traffic and node. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TRAFFICS * MAX_NODES);
	__type(key, __u32);
	__type(value, __u64);
} sent SEC(".maps");

/* Where the port scan is; it asks each node for a port before it goes on to the next port. */
__u64 scan_step = 0;

/* What follows the Ethernet header, which is no multiple of four bytes long. */
struct udp_packet {
	struct iphdr ip;
	struct udphdr udp;
	__u8 payload[UDP_PAYLOAD];
};

struct syn_packet {
	struct iphdr ip;
	struct tcphdr tcp;
	/* Maximum segment size: a SYN without options looks like no system's. */
	__be32 options;
};

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline void write_mac(__u8 *mac, __u32 address)
{
	mac[0] = 2;
	mac[1] = 0;
	mac[2] = address >> 24;
	mac[3] = address >> 16;
	mac[4] = address >> 8;
	mac[5] = address;
}

static __always_inline void write_ethernet(struct ethhdr *ethernet, __u32 destination)
{
	write_mac(ethernet->h_dest, destination);
	write_mac(ethernet->h_source, scanner);
	ethernet->h_proto = bpf_htons(ETH_P_IP);
}

static __always_inline void write_ip(struct iphdr *ip, __u8 protocol, __u16 payload, __u32 source,
				     __u32 destination)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->ttl = 64;
	ip->id = bpf_get_prandom_u32();
	ip->tot_len = bpf_htons(sizeof(*ip) + payload);
	ip->protocol = protocol;
	ip->saddr = bpf_htonl(source);
	ip->daddr = bpf_htonl(destination);
	ip->check = fold(bpf_csum_diff(NULL, 0, (__be32 *)ip, sizeof(*ip), 0));
}

/* Checksum over the pseudo header and what follows the IP header. */
static __always_inline __u16 transport_checksum(const struct iphdr *ip, void *segment, __u32 length)
{
	struct {
		__be32 source, destination;
		__u8 zero, protocol;
		__be16 length;
	} pseudo = {
		.source = ip->saddr,
		.destination = ip->daddr,
		.protocol = ip->protocol,
		.length = bpf_htons(length),
	};
	__s64 sum = bpf_csum_diff(NULL, 0, (__be32 *)&pseudo, sizeof(pseudo), 0);

	return fold(bpf_csum_diff(NULL, 0, segment, length, sum));
}

static __always_inline __u32 random_node(void)
{
	return bpf_get_prandom_u32() % node_count;
}

static __always_inline __u32 random_source(void)
{
	return flood_network | (bpf_get_prandom_u32() & flood_host_mask);
}

static __always_inline __u16 random_port(void)
{
	return 1024 + bpf_get_prandom_u32() % 60000;
}

static __always_inline int send_frame(enum traffic traffic, __u32 node)
{
	__u32 key = traffic * MAX_NODES + (node & (MAX_NODES - 1));
	__u64 *packets = bpf_map_lookup_elem(&sent, &key);

	if (packets)
		(*packets)++;
	return XDP_TX;
}

static __always_inline int send_syn(struct xdp_md *ctx, enum traffic traffic, __u32 source,
				    __u32 node, __u16 port)
{
	struct ethhdr *ethernet = (void *)(long)ctx->data;
	struct syn_packet *packet = (void *)(ethernet + 1);
	const __u32 length = sizeof(*packet) - sizeof(packet->ip);

	if ((void *)(packet + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	write_ethernet(ethernet, first_node + node);
	write_ip(&packet->ip, IPPROTO_TCP, length, source, first_node + node);
	__builtin_memset(&packet->tcp, 0, sizeof(packet->tcp));
	packet->tcp.source = bpf_htons(random_port());
	packet->tcp.dest = bpf_htons(port);
	packet->tcp.seq = bpf_get_prandom_u32();
	packet->tcp.doff = length / 4;
	packet->tcp.syn = 1;
	packet->tcp.window = bpf_htons(64240);
	packet->options = bpf_htonl(0x02040000 | 1460);
	packet->tcp.check = transport_checksum(&packet->ip, &packet->tcp, length);
	return send_frame(traffic, node);
}

SEC("xdp")
int udp_flood(struct xdp_md *ctx)
{
	struct ethhdr *ethernet = (void *)(long)ctx->data;
	struct udp_packet *packet = (void *)(ethernet + 1);
	const __u32 length = sizeof(*packet) - sizeof(packet->ip);
	__u32 node = random_node();

	if ((void *)(packet + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	write_ethernet(ethernet, first_node + node);
	write_ip(&packet->ip, IPPROTO_UDP, length, random_source(), first_node + node);
	packet->udp.source = bpf_htons(random_port());
	packet->udp.dest = bpf_htons(random_port());
	packet->udp.len = bpf_htons(length);
	packet->udp.check = 0;
	packet->udp.check = transport_checksum(&packet->ip, &packet->udp, length);
	/* 0 would say that there is no checksum. */
	if (!packet->udp.check)
		packet->udp.check = 0xffff;
	return send_frame(UDP_FLOOD, node);
}

SEC("xdp")
int syn_flood(struct xdp_md *ctx)
{
	return send_syn(ctx, SYN_FLOOD, random_source(), random_node(), web_port);
}

SEC("xdp")
int port_scan(struct xdp_md *ctx)
{
	__u64 step = __sync_fetch_and_add(&scan_step, 1);

	return send_syn(ctx, PORT_SCAN, scanner, step % node_count, 1 + step / node_count % 65535);
}
