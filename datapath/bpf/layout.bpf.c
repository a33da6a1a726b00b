// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Never loaded. Names the enums and structs that TypeScript needs and no map or variable mentions: clang
 * describes a type in BTF only when something in the object refers to it.
 */
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include "exceptions.h"
#include "types.h"

#define EXPORT(TYPE, NAME) const TYPE NAME *export_##NAME SEC(".layout")

EXPORT(enum, limits);
EXPORT(enum, class_sections);
EXPORT(enum, rule_action);
EXPORT(enum, rule_flags);
EXPORT(enum, verdict);
EXPORT(enum, reason);
EXPORT(enum, effect);
EXPORT(enum, trait);
EXPORT(enum, field);
EXPORT(enum, generation_flags);
EXPORT(enum, limit_unit);
EXPORT(enum, limit_scope);
EXPORT(enum, flow_flags);
EXPORT(enum, pod_route_flags);
EXPORT(enum, pod_limits);
EXPORT(enum, stage);
EXPORT(enum, pod_trace_flags);
EXPORT(enum, pod_delivery);
EXPORT(enum, exception);

EXPORT(struct, event);
EXPORT(struct, verdict_metadata);
