import type { CapabilityName } from "../../datapath/capabilities.js";

export interface AgentCapability {
  readonly name: CapabilityName;
  /** What the agent does with it; completes "missing, for …". */
  readonly purpose: string;
}

/**
 * All that an agent of user 0 needs, from its start to `sluicectl cleanup`: the one list, which the
 * chart's `securityContext.capabilities.add` repeats without the prefix. test/stage/capabilities.test.ts
 * runs an agent with exactly these, and without each of them.
 */
export const agentCapabilities: readonly AgentCapability[] = [
  { name: "CAP_BPF", purpose: "tables, programs and pins" },
  {
    name: "CAP_NET_ADMIN",
    purpose: "XDP and tc programs, their places on interfaces, routes and masquerade",
  },
  { name: "CAP_PERFMON", purpose: "arithmetic on packet pointers, and the count of exceptions" },
];

/** What `--pod-network` needs besides: test/kubernetes/pod-network.test.ts runs with it, and without. */
export const podNetworkCapabilities: readonly AgentCapability[] = [
  { name: "CAP_SYS_ADMIN", purpose: "the network namespaces of pods" },
];
