/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef SLUICE_EXCEPTIONS_H
#define SLUICE_EXCEPTIONS_H

#include <linux/types.h>

enum exception {
	/* XDP_ABORTED, or an action that the driver does not know. */
	EXCEPTION_ACTION,
	EXCEPTION_REDIRECT,
	EXCEPTION_CPU_QUEUE_FULL,
	EXCEPTIONS = 4,
};

struct exception_scope {
	__u32 program_id;
	__u32 cpu_map_id;
};

#endif
