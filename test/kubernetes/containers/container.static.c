// SPDX-License-Identifier: Apache-2.0
/*
 * What the containers of the tests run; it is all that is in their image.
 *
 *   container pause              waits until it is ended, and is the init of a pod's sandbox
 *   container serve PORT...      sends back what comes by TCP, in both families
 *   container ask ADDRESS PORT   exits with 0 when such a server sends back what it gets
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_PORTS 8
#define ANSWER_S 5

static void end(int signal)
{
	(void)signal;
	_exit(0);
}

static int fail(const char *what)
{
	fprintf(stderr, "container: %s: %s\n", what, strerror(errno));
	return 1;
}

static _Noreturn void pause_until_ended(void)
{
	for (;;) {
		pause();
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

static void reap(int signal)
{
	(void)signal;
}

static void echo(int connection)
{
	char text[4096];
	ssize_t length;

	while ((length = read(connection, text, sizeof(text))) > 0)
		if (write(connection, text, length) != length)
			break;
	_exit(0);
}

static int open_port(int port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int on = 1, off = 0;
	int server = socket(AF_INET6, SOCK_STREAM, 0);

	setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(server, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(server, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(server, 128) < 0)
		return -1;
	return server;
}

static int serve(int count, char **ports)
{
	struct pollfd servers[MOST_PORTS];

	if (count > MOST_PORTS)
		return 2;
	/* Children are nobody's to wait for. */
	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < count; i++) {
		servers[i] = (struct pollfd){.fd = open_port(atoi(ports[i])), .events = POLLIN};
		if (servers[i].fd < 0)
			return fail(ports[i]);
	}
	for (;;) {
		if (poll(servers, count, -1) < 0)
			continue;
		for (int i = 0; i < count; i++) {
			int connection = servers[i].revents ? accept(servers[i].fd, NULL, NULL) : -1;

			if (connection < 0)
				continue;
			if (fork() == 0)
				echo(connection);
			close(connection);
		}
	}
}

static int ask(const char *address, const char *port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(port))};
	const struct timeval patience = {.tv_sec = ANSWER_S};
	const char question[] = "anybody there?";
	char answer[sizeof(question)];
	struct sockaddr *to = (struct sockaddr *)&v6;
	socklen_t length = sizeof(v6);
	int connection;

	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1) {
		to = (struct sockaddr *)&v4;
		length = sizeof(v4);
	} else if (inet_pton(AF_INET6, address, &v6.sin6_addr) != 1) {
		return 2;
	}
	connection = socket(to->sa_family, SOCK_STREAM, 0);
	setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(connection, to, length) < 0)
		return fail("connect");
	if (write(connection, question, sizeof(question)) != sizeof(question))
		return fail("write");
	if (recv(connection, answer, sizeof(answer), MSG_WAITALL) != sizeof(answer))
		return fail("read");
	return memcmp(question, answer, sizeof(answer)) == 0 ? 0 : 1;
}

int main(int count, char **words)
{
	/* The first process of a container ends only by signals that it handles. */
	signal(SIGTERM, end);
	signal(SIGINT, end);
	signal(SIGCHLD, reap);
	if (count == 2 && strcmp(words[1], "pause") == 0)
		pause_until_ended();
	if (count > 2 && strcmp(words[1], "serve") == 0)
		return serve(count - 2, words + 2);
	if (count == 4 && strcmp(words[1], "ask") == 0)
		return ask(words[2], words[3]);
	fprintf(stderr, "container: pause, serve PORT..., or ask ADDRESS PORT\n");
	return 2;
}
