// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Serves and tries ports in the network namespaces of pods, all of them at once. Commands on stdin, one per line:
 *
 *   pod N PATH IPV4 IPV6     pod N is in this namespace: serves 80 and 81 on TCP, UDP and SCTP in both families
 *   gone N                   closes what pod N has open
 *   round COUNT QUIET PATIENCE
 *                            then COUNT lines "FROM TO FAMILY PROTOCOL PORT EXPECTED": pods by number, 4 or 6, one of
 *                            T, U and S, and 1 when it shall come through
 *
 * Each command is answered by one line. That of a round has a character per probe: '.' came through, 'X' silent,
 * 'R' refused. It comes when all that shall come through has and QUIET milliseconds have passed, after PATIENCE
 * milliseconds at the latest; what shall come through is tried again meanwhile. To come through is a byte back: of TCP
 * from the server, of UDP the datagram itself, of SCTP an INIT ACK for an INIT. The kernel needs no SCTP for it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PODS = 32, PROBE_BITS = 12, MAX_PROBES = 1 << PROBE_BITS, FAMILIES = 2, PORTS = 2 };
enum { AGAIN_MS = 300, AFTER_ANSWER_MS = 20, SCTP = 132 };
enum kind { LISTENER, ECHO, DATAGRAM, RAW4, RAW6, CONNECTION };

static const uint16_t ports[PORTS] = { 80, 81 };
static const int families[FAMILIES] = { AF_INET, AF_INET6 };

struct pod {
	bool is_used;
	int netns;
	struct sockaddr_storage addresses[FAMILIES];
	/* Of each family: TCP and UDP for each port, and SCTP. */
	int served[FAMILIES][2 * PORTS + 1];
	/* Of the present round. */
	int datagram[FAMILIES];
};

struct probe {
	struct pod *from, *to;
	int family;
	char protocol;
	uint16_t port;
	bool is_expected;
	char outcome;
	/* Of TCP, or -1. */
	int connection;
};

/* An SCTP packet with one INIT or INIT ACK chunk (RFC 9260). */
struct sctp_packet {
	uint16_t source, destination;
	uint32_t tag, checksum;
	uint8_t type, flags;
	uint16_t length;
	uint32_t initiate_tag, window;
	uint16_t out_streams, in_streams;
	uint32_t sequence;
};

static struct pod pods[MAX_PODS];
static struct probe probes[MAX_PROBES];
static int probe_count, epoll_fd;
static uint32_t round_number;
static int64_t last_answer_ms;

static void die(const char *what)
{
	fprintf(stderr, "prober: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void watch(int fd, enum kind kind, unsigned int index)
{
	struct epoll_event event = { .events = EPOLLIN };

	event.data.u64 = (uint64_t)kind << 56 | (uint64_t)index << 32 | (uint32_t)fd;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
		die("epoll_ctl");
}

static int open_socket(int family, int type, int protocol)
{
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	const int one = 1;

	if (fd < 0)
		die("socket");
	if (family == AF_INET6 && type != SOCK_RAW &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)))
		die("IPV6_V6ONLY");
	return fd;
}

static struct sockaddr_storage with_port(struct sockaddr_storage address, uint16_t port)
{
	if (address.ss_family == AF_INET)
		((struct sockaddr_in *)&address)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)&address)->sin6_port = htons(port);
	return address;
}

static void enter(const struct pod *pod)
{
	if (setns(pod->netns, CLONE_NEWNET))
		die("setns");
}

static int serve(const struct pod *pod, int f, int type, uint16_t port)
{
	int fd = open_socket(families[f], type, 0);
	struct sockaddr_storage address = with_port(pod->addresses[f], port);

	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		die("bind");
	if (type == SOCK_STREAM && listen(fd, 1024))
		die("listen");
	watch(fd, type == SOCK_STREAM ? LISTENER : ECHO, 0);
	return fd;
}

static void add_pod(const char *line)
{
	char path[256], ipv4[64], ipv6[64];
	unsigned int number;
	struct pod *pod;

	if (sscanf(line, "pod %u %255s %63s %63s", &number, path, ipv4, ipv6) != 4 || number >= MAX_PODS)
		die(line);
	pod = &pods[number];
	memset(pod, 0, sizeof(*pod));
	pod->is_used = true;
	pod->netns = open(path, O_RDONLY | O_CLOEXEC);
	if (pod->netns < 0)
		die(path);
	pod->addresses[0].ss_family = AF_INET;
	pod->addresses[1].ss_family = AF_INET6;
	if (inet_pton(AF_INET, ipv4, &((struct sockaddr_in *)&pod->addresses[0])->sin_addr) != 1 ||
	    inet_pton(AF_INET6, ipv6, &((struct sockaddr_in6 *)&pod->addresses[1])->sin6_addr) != 1)
		die(line);
	enter(pod);
	for (int f = 0; f < FAMILIES; f++) {
		for (int p = 0; p < PORTS; p++) {
			pod->served[f][2 * p] = serve(pod, f, SOCK_STREAM, ports[p]);
			pod->served[f][2 * p + 1] = serve(pod, f, SOCK_DGRAM, ports[p]);
		}
		pod->served[f][2 * PORTS] = open_socket(families[f], SOCK_RAW, SCTP);
		watch(pod->served[f][2 * PORTS], f ? RAW6 : RAW4, 0);
	}
}

static void remove_pod(const char *line)
{
	unsigned int number;

	if (sscanf(line, "gone %u", &number) != 1 || number >= MAX_PODS || !pods[number].is_used)
		die(line);
	for (int f = 0; f < FAMILIES; f++)
		for (int i = 0; i < 2 * PORTS + 1; i++)
			close(pods[number].served[f][i]);
	close(pods[number].netns);
	pods[number].is_used = false;
}

static uint32_t crc32c(const void *data, size_t length)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < length; i++) {
		crc ^= ((const uint8_t *)data)[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static uint32_t token_of(const struct probe *probe)
{
	return htonl(round_number << PROBE_BITS | (uint32_t)(probe - probes));
}

/* A port of its own for each round and probe, that no server has. */
static uint16_t sctp_port(const struct probe *probe)
{
	return 10000 + (round_number * 1999 + (uint32_t)(probe - probes)) % 50000;
}

static void send_sctp(int fd, struct sockaddr_storage to, struct sctp_packet packet)
{
	packet.length = htons(20);
	packet.window = htonl(65536);
	packet.out_streams = packet.in_streams = htons(1);
	packet.checksum = crc32c(&packet, sizeof(packet));
	to = with_port(to, 0);
	sendto(fd, &packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to));
}

static void answered(uint32_t token)
{
	uint32_t value = ntohl(token), index = value & (MAX_PROBES - 1);

	/* Others are late answers of an earlier round. */
	if (value >> PROBE_BITS != (round_number & (~0u >> PROBE_BITS)) || index >= (uint32_t)probe_count)
		return;
	probes[index].outcome = '.';
	last_answer_ms = now_ms();
}

static void end_connection(struct probe *probe)
{
	if (probe->connection >= 0)
		close(probe->connection);
	probe->connection = -1;
}

static void connect_tcp(struct probe *probe, struct sockaddr_storage to)
{
	const struct linger reset = { .l_onoff = 1 };
	int fd = open_socket(families[probe->family], SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	probe->connection = fd;
	watch(fd, CONNECTION, probe - probes);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS)
		probe->outcome = 'R';
}

/* The thread is in the namespace of the probe's source. */
static void attempt(struct probe *probe)
{
	const struct pod *from = probe->from;
	struct sockaddr_storage to = with_port(probe->to->addresses[probe->family], probe->port);
	uint32_t token = token_of(probe);

	switch (probe->protocol) {
	case 'T':
		end_connection(probe);
		connect_tcp(probe, to);
		break;
	case 'U':
		sendto(from->datagram[probe->family], &token, sizeof(token), 0, (struct sockaddr *)&to,
		       sizeof(to));
		break;
	default:
		send_sctp(from->served[probe->family][2 * PORTS], to,
			  (struct sctp_packet){ .source = htons(sctp_port(probe)),
						.destination = htons(probe->port),
						.type = 1,
						.initiate_tag = token });
	}
}

static void greet(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		send(fd, "k", 1, MSG_NOSIGNAL);
		close(fd);
	}
}

static void receive_datagrams(int fd, bool is_server)
{
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);
	uint32_t token;

	while (recvfrom(fd, &token, sizeof(token), 0, (struct sockaddr *)&from, &size) == sizeof(token)) {
		if (is_server)
			sendto(fd, &token, sizeof(token), 0, (struct sockaddr *)&from, size);
		else
			answered(token);
		size = sizeof(from);
	}
}

static void receive_sctp(int fd, bool has_header)
{
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);
	uint8_t bytes[256];
	ssize_t length;

	while ((length = recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &size)) >= 0) {
		size_t start = has_header ? (bytes[0] & 15) * 4 : 0;
		struct sctp_packet packet;

		size = sizeof(from);
		if ((size_t)length < start + sizeof(packet))
			continue;
		memcpy(&packet, bytes + start, sizeof(packet));
		if (packet.type == 2)
			answered(packet.tag);
		else if (packet.type == 1)
			send_sctp(fd, from,
				  (struct sctp_packet){ .source = packet.destination,
							.destination = packet.source,
							.tag = packet.initiate_tag,
							.type = 2,
							.initiate_tag = htonl(1) });
	}
}

static void hear_from(struct probe *probe, int fd)
{
	char byte;
	ssize_t length;

	/* An event from before it was closed. */
	if (probe->connection != fd)
		return;
	length = recv(fd, &byte, 1, 0);
	if (length < 0 && errno == EAGAIN)
		return;
	if (length == 1)
		answered(token_of(probe));
	else
		probe->outcome = 'R';
	end_connection(probe);
}

static void handle(uint64_t data)
{
	int fd = (int)(uint32_t)data;

	switch ((enum kind)(data >> 56)) {
	case LISTENER:
		return greet(fd);
	case ECHO:
		return receive_datagrams(fd, true);
	case DATAGRAM:
		return receive_datagrams(fd, false);
	case RAW4:
		return receive_sctp(fd, true);
	case RAW6:
		return receive_sctp(fd, false);
	case CONNECTION:
		return hear_from(&probes[data >> 32 & (MAX_PROBES - 1)], fd);
	}
}

static void read_probes(const char *line, int *quiet_ms, int *patience_ms)
{
	char *text = NULL;
	size_t size = 0;

	if (sscanf(line, "round %d %d %d", &probe_count, quiet_ms, patience_ms) != 3 ||
	    probe_count > MAX_PROBES)
		die(line);
	for (int i = 0; i < probe_count; i++) {
		unsigned int from, to, family, port, is_expected;
		char protocol;

		if (getline(&text, &size, stdin) < 0 ||
		    sscanf(text, "%u %u %u %c %u %u", &from, &to, &family, &protocol, &port, &is_expected) != 6 ||
		    from >= MAX_PODS || to >= MAX_PODS || !pods[from].is_used || !pods[to].is_used)
			die("not a probe");
		probes[i] = (struct probe){ &pods[from], &pods[to],   family == 6, protocol,
					    port,	 is_expected, 'X',	   -1 };
	}
	free(text);
}

/* Those that were not answered, or of these only those that should be. */
static void try_all(bool is_first)
{
	for (struct pod *pod = pods; pod < pods + MAX_PODS; pod++) {
		if (!pod->is_used)
			continue;
		enter(pod);
		for (int f = 0; is_first && f < FAMILIES; f++) {
			pod->datagram[f] = open_socket(families[f], SOCK_DGRAM, 0);
			watch(pod->datagram[f], DATAGRAM, 0);
		}
		for (struct probe *probe = probes; probe < probes + probe_count; probe++)
			if (probe->from == pod && (is_first || (probe->is_expected && probe->outcome == 'X')))
				attempt(probe);
	}
}

static bool is_missing_any(void)
{
	for (int i = 0; i < probe_count; i++)
		if (probes[i].is_expected && probes[i].outcome == 'X')
			return true;
	return false;
}

static void run_round(const char *line)
{
	int quiet_ms, patience_ms;
	int64_t start_ms, again_ms;

	read_probes(line, &quiet_ms, &patience_ms);
	round_number++;
	try_all(true);
	start_ms = last_answer_ms = now_ms();
	again_ms = start_ms + AGAIN_MS;
	for (;;) {
		struct epoll_event events[256];
		int count = epoll_wait(epoll_fd, events, 256, 5);
		int64_t now = now_ms();

		for (int i = 0; i < count; i++)
			handle(events[i].data.u64);
		if (now - start_ms >= patience_ms)
			break;
		if (now - start_ms >= quiet_ms && now - last_answer_ms >= AFTER_ANSWER_MS && !is_missing_any())
			break;
		if (now >= again_ms) {
			try_all(false);
			again_ms = now + AGAIN_MS;
		}
	}
	for (int i = 0; i < probe_count; i++) {
		end_connection(&probes[i]);
		putchar(probes[i].outcome);
	}
	for (int i = 0; i < MAX_PODS; i++)
		for (int f = 0; pods[i].is_used && f < FAMILIES; f++)
			close(pods[i].datagram[f]);
}

int main(void)
{
	struct rlimit files;
	char *line = NULL;
	size_t size = 0;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die("epoll_create1");
	while (getline(&line, &size, stdin) > 0) {
		if (line[0] == 'p')
			add_pod(line);
		else if (line[0] == 'g')
			remove_pod(line);
		else
			run_round(line);
		putchar('\n');
		fflush(stdout);
	}
	return 0;
}
