// SPDX-License-Identifier: Apache-2.0
/*
 * Traffic between two pods, without a cost of its own that would hide that of the path.
 *
 *   pod-traffic serve PORT                     answers all that follows, until it is ended; says "up" first
 *   pod-traffic stream ADDRESS PORT MS         sends as fast as it can
 *   pod-traffic request ADDRESS PORT MS        asks by one open connection, one byte each way
 *   pod-traffic connect ADDRESS PORT MS        opens a connection for every byte it asks
 *
 * A client prints what it got through, bytes or questions, the nanoseconds that passed, and those of its CPU.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (128 * 1024)
#define EVENTS 64
/* Nothing takes so long but a packet that is lost for good. */
#define PATIENCE_S 5

static char block[BLOCK];

static int fail(const char *what)
{
	fprintf(stderr, "pod-traffic: %s: %s\n", what, strerror(errno));
	return 1;
}

static unsigned long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* One byte is a question and gets its answer; more are a stream, which gets none. */
static void take(int connection)
{
	ssize_t length = recv(connection, block, sizeof(block), MSG_DONTWAIT);

	if (length == 1 && send(connection, block, 1, MSG_NOSIGNAL) == 1)
		return;
	if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR))
		close(connection);
}

static int serve(int port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct epoll_event event = {.events = EPOLLIN}, events[EVENTS];
	int on = 1, off = 0, poll = epoll_create1(0), server = socket(AF_INET6, SOCK_STREAM, 0);

	setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(server, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(server, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(server, 1024) < 0)
		return fail("listen");
	event.data.fd = server;
	epoll_ctl(poll, EPOLL_CTL_ADD, server, &event);
	puts("up");
	fflush(stdout);
	for (;;) {
		int count = epoll_wait(poll, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			if (events[i].data.fd != server) {
				take(events[i].data.fd);
				continue;
			}
			event.data.fd = accept(server, NULL, NULL);
			if (event.data.fd >= 0)
				epoll_ctl(poll, EPOLL_CTL_ADD, event.data.fd, &event);
		}
	}
}

/* Ends by a reset: no port waits for the last packets of a connection. */
static int open_connection(const char *address, int port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	const struct linger at_once = {.l_onoff = 1};
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	int on = 1, is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
	int connection = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM, 0);

	if (!is_v4 && inet_pton(AF_INET6, address, &v6.sin6_addr) != 1)
		return -1;
	setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(connection, is_v4 ? (void *)&v4 : (void *)&v6, is_v4 ? sizeof(v4) : sizeof(v6)) == 0)
		return connection;
	close(connection);
	return -1;
}

static int ask(int connection)
{
	char byte = 0;

	return send(connection, &byte, 1, MSG_NOSIGNAL) == 1 && recv(connection, &byte, 1, 0) == 1;
}

static int client(const char *mode, const char *address, int port, unsigned long long limit_ns)
{
	int is_connect = strcmp(mode, "connect") == 0, is_stream = strcmp(mode, "stream") == 0;
	int connection = is_connect ? -1 : open_connection(address, port);
	struct timespec cpu;
	unsigned long long count = 0, start = now_ns(), end = start;

	if (!is_connect && connection < 0)
		return fail("connect");
	for (; end - start < limit_ns; end = now_ns()) {
		if (is_stream) {
			ssize_t sent = send(connection, block, sizeof(block), MSG_NOSIGNAL);

			if (sent < 0)
				return fail("send");
			count += sent;
			continue;
		}
		if (is_connect)
			connection = open_connection(address, port);
		if (connection < 0 || !ask(connection))
			return fail(mode);
		if (is_connect)
			close(connection);
		count++;
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	printf("%llu %llu %llu\n", count, end - start, cpu.tv_sec * 1000000000ULL + cpu.tv_nsec);
	return 0;
}

int main(int count, char **words)
{
	if (count == 3 && strcmp(words[1], "serve") == 0)
		return serve(atoi(words[2]));
	if (count == 5)
		return client(words[1], words[2], atoi(words[3]), atoi(words[4]) * 1000000ULL);
	fprintf(stderr, "pod-traffic: serve PORT, or stream, request or connect ADDRESS PORT MS\n");
	return 2;
}
