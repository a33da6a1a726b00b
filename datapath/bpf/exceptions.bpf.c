// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What goes wrong after a program has given its verdict, by the kernel's own tracepoints: an abort or an unknown action
 * (xdp_exception), a redirect that found no target or no room (xdp_redirect_err), packets that a
 * CPU's queue had no room for (xdp_cpumap_enqueue).
 */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "exceptions.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct bpf_prog_aux {
	__u32 id;
} __attribute__((preserve_access_index));

struct bpf_prog {
	struct bpf_prog_aux *aux;
} __attribute__((preserve_access_index));

/* Agent writes after load: id of its uplink program and of its CPU map; other owners' exceptions are not counted. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exception_scope);
} exception_scope SEC(".maps");

/* Programs write, agent reads and sums. Index: enum exception. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EXCEPTIONS);
	__type(key, __u32);
	__type(value, __u64);
} exception_counters SEC(".maps");

static __always_inline struct exception_scope *scope(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&exception_scope, &zero);
}

static __always_inline void add(__u32 exception, __u64 packets)
{
	__u64 *counter = bpf_map_lookup_elem(&exception_counters, &exception);

	if (counter)
		*counter += packets;
}

static __always_inline int count_own(const struct bpf_prog *program, enum exception exception)
{
	struct exception_scope *own = scope();

	if (own && BPF_CORE_READ(program, aux, id) == own->program_id)
		add(exception, 1);
	return 0;
}

/* Arguments as in include/trace/events/xdp.h; the second is the program. */
SEC("raw_tp/xdp_exception")
int on_exception(struct bpf_raw_tracepoint_args *ctx)
{
	return count_own((const void *)ctx->args[1], EXCEPTION_ACTION);
}

SEC("raw_tp/xdp_redirect_err")
int on_redirect_error(struct bpf_raw_tracepoint_args *ctx)
{
	return count_own((const void *)ctx->args[1], EXCEPTION_REDIRECT);
}

/* map id, processed, drops, CPU */
SEC("raw_tp/xdp_cpumap_enqueue")
int on_cpumap_enqueue(struct bpf_raw_tracepoint_args *ctx)
{
	struct exception_scope *own = scope();
	__u32 drops = ctx->args[2];

	if (own && drops && (__u32)ctx->args[0] == own->cpu_map_id)
		add(EXCEPTION_CPU_QUEUE_FULL, drops);
	return 0;
}
