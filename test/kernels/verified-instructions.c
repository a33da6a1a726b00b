// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Prints, for each path of a pinned program, how many instructions the verifier looked at (kernel
 * 5.16 and later). bpftool can only say it from the verifier's log, every branch included, which
 * has been over a gigabyte for the uplink program and does not fit the buffer of older kernels.
 */
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long bpf(int command, union bpf_attr *attributes)
{
	return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

static int print_program(const char *path)
{
	struct bpf_prog_info info = { 0 };
	union bpf_attr attributes;
	long fd, failed;

	memset(&attributes, 0, sizeof(attributes));
	attributes.pathname = (unsigned long)path;
	fd = bpf(BPF_OBJ_GET, &attributes);
	if (fd < 0) {
		perror(path);
		return 1;
	}
	memset(&attributes, 0, sizeof(attributes));
	attributes.info.bpf_fd = fd;
	attributes.info.info_len = sizeof(info);
	attributes.info.info = (unsigned long)&info;
	failed = bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes);
	if (failed)
		perror(path);
	else
		printf("verified %s %u\n", path, info.verified_insns);
	close(fd);
	return failed ? 1 : 0;
}

int main(int count, char **paths)
{
	int status = 0;

	for (int i = 1; i < count; i++)
		status |= print_program(paths[i]);
	return status;
}
