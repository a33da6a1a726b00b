// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a user's program does to receive the packets of a socketMap, without a library:
 *
 *   afxdp-receiver INTERFACE QUEUE PINNED-MAP KEY
 *
 * makes an AF_XDP socket in copy mode on the queue, puts it into the map, prints "ready", and then each frame as a
 * line of hexadecimal digits.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Powers of two, as rings must be. */
enum { FRAMES = 64, FRAME_BYTES = 4096 };

struct ring {
	uint32_t *producer;
	uint32_t *consumer;
	void *entries;
};

static int die(const char *what)
{
	fprintf(stderr, "afxdp-receiver: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void set_option(int xsk, int option, const void *value, size_t size)
{
	if (setsockopt(xsk, SOL_XDP, option, value, size))
		die("setsockopt");
}

static struct ring map_ring(int xsk, const struct xdp_ring_offset *offset, size_t entry_size,
			    uint64_t page_offset)
{
	char *memory = mmap(NULL, offset->desc + FRAMES * entry_size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_POPULATE, xsk, page_offset);

	if (memory == MAP_FAILED)
		die("mmap of a ring");
	return (struct ring){
		.producer = (void *)(memory + offset->producer),
		.consumer = (void *)(memory + offset->consumer),
		.entries = memory + offset->desc,
	};
}

/* Gives one frame of the umem to the kernel to be filled. */
static void offer(struct ring *fill, uint64_t address)
{
	uint32_t at = *fill->producer;

	((uint64_t *)fill->entries)[at & (FRAMES - 1)] = address;
	__atomic_store_n(fill->producer, at + 1, __ATOMIC_RELEASE);
}

static long put_into_map(const char *path, uint32_t key, uint32_t xsk)
{
	union bpf_attr get = { .pathname = (uintptr_t)path };
	union bpf_attr update = { .key = (uintptr_t)&key, .value = (uintptr_t)&xsk };

	update.map_fd = syscall(SYS_bpf, BPF_OBJ_GET, &get, sizeof(get));
	if ((int)update.map_fd < 0)
		return -1;
	return syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &update, sizeof(update));
}

static void print_frame(const unsigned char *bytes, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		printf("%02x", bytes[i]);
	puts("");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct sockaddr_xdp address = { .sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY };
	struct xdp_umem_reg umem = { .len = FRAMES * FRAME_BYTES, .chunk_size = FRAME_BYTES };
	struct xdp_mmap_offsets offsets;
	socklen_t offsets_size = sizeof(offsets);
	struct ring fill, received;
	int ring_size = FRAMES, xsk;
	char *memory;

	if (argc != 5) {
		fprintf(stderr, "usage: afxdp-receiver INTERFACE QUEUE PINNED-MAP KEY\n");
		return 2;
	}
	xsk = socket(AF_XDP, SOCK_RAW, 0);
	if (xsk < 0)
		die("socket");
	memory = mmap(NULL, umem.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		die("mmap of the umem");
	umem.addr = (uintptr_t)memory;
	set_option(xsk, XDP_UMEM_REG, &umem, sizeof(umem));
	set_option(xsk, XDP_UMEM_FILL_RING, &ring_size, sizeof(ring_size));
	set_option(xsk, XDP_UMEM_COMPLETION_RING, &ring_size, sizeof(ring_size));
	set_option(xsk, XDP_RX_RING, &ring_size, sizeof(ring_size));
	if (getsockopt(xsk, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &offsets_size))
		die("getsockopt");
	fill = map_ring(xsk, &offsets.fr, sizeof(uint64_t), XDP_UMEM_PGOFF_FILL_RING);
	received = map_ring(xsk, &offsets.rx, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING);
	for (uint64_t frame = 0; frame < FRAMES; frame++)
		offer(&fill, frame * FRAME_BYTES);

	address.sxdp_ifindex = if_nametoindex(argv[1]);
	address.sxdp_queue_id = atoi(argv[2]);
	if (bind(xsk, (struct sockaddr *)&address, sizeof(address)))
		die("bind");
	if (put_into_map(argv[3], atoi(argv[4]), xsk))
		die(argv[3]);
	puts("ready");
	fflush(stdout);

	for (;;) {
		struct pollfd waiting = { .fd = xsk, .events = POLLIN };
		uint32_t at = *received.consumer;

		if (poll(&waiting, 1, -1) < 0)
			die("poll");
		while (at != __atomic_load_n(received.producer, __ATOMIC_ACQUIRE)) {
			struct xdp_desc *frame = &((struct xdp_desc *)received.entries)[at & (FRAMES - 1)];

			print_frame((unsigned char *)memory + frame->addr, frame->len);
			offer(&fill, frame->addr & ~(uint64_t)(FRAME_BYTES - 1));
			__atomic_store_n(received.consumer, ++at, __ATOMIC_RELEASE);
		}
	}
}
