// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Frames as they are, through a packet socket:
 *
 *   raw-frames send INTERFACE    sends each line of hexadecimal digits from stdin as a frame
 *   raw-frames print INTERFACE   prints "ready", then each frame received as such a line
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FRAME = 16384 };

static int fail(const char *what)
{
	fprintf(stderr, "raw-frames: %s: %s\n", what, strerror(errno));
	return 1;
}

/* Bytes of a line of digits, or -1. */
static int parse_line(const char *line, unsigned char *frame)
{
	int length = 0;

	for (; line[0] && line[0] != '\n'; line += 2) {
		if (length == MAX_FRAME || sscanf(line, "%2hhx", &frame[length]) != 1)
			return -1;
		length++;
	}
	return length;
}

static int send_frames(int socket_fd)
{
	static char line[2 * MAX_FRAME + 2];
	static unsigned char frame[MAX_FRAME];

	while (fgets(line, sizeof(line), stdin)) {
		int length = parse_line(line, frame);

		if (length < 0) {
			fprintf(stderr, "raw-frames: not a frame: %s", line);
			return 1;
		}
		while (send(socket_fd, frame, length, 0) < 0) {
			/* The queue of the interface is full: it drains by itself. */
			if (errno != ENOBUFS)
				return fail("send");
			usleep(100);
		}
	}
	return 0;
}

static int print_frames(int socket_fd)
{
	static unsigned char frame[MAX_FRAME];

	puts("ready");
	fflush(stdout);
	for (;;) {
		struct sockaddr_ll from;
		socklen_t from_size = sizeof(from);
		ssize_t length = recvfrom(socket_fd, frame, sizeof(frame), 0,
					  (struct sockaddr *)&from, &from_size);

		if (length < 0)
			return fail("recvfrom");
		if (from.sll_pkttype == PACKET_OUTGOING)
			continue;
		for (ssize_t i = 0; i < length; i++)
			printf("%02x", frame[i]);
		puts("");
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int socket_fd;

	if (argc != 3 || (strcmp(argv[1], "send") && strcmp(argv[1], "print"))) {
		fprintf(stderr, "usage: raw-frames send|print INTERFACE\n");
		return 2;
	}
	address.sll_ifindex = if_nametoindex(argv[2]);
	if (!address.sll_ifindex)
		return fail(argv[2]);
	socket_fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	if (socket_fd < 0)
		return fail("socket");
	if (bind(socket_fd, (struct sockaddr *)&address, sizeof(address)))
		return fail("bind");
	return strcmp(argv[1], "send") ? print_frames(socket_fd) : send_frames(socket_fd);
}
