/** Records with everything optional left out, for tests. */

import type {
  NodeRecord,
  RateLimit,
  RuleAction,
  RuleRecord,
  XdpPolicyRecord,
} from "../../operator/model/records.js";
import { parseCidr } from "./address.js";
import type { World } from "./world.js";

const ORIGIN = { source: "test" };

/** A node without labels and addresses, `eth0` its uplink, nothing to judge by. */
export function world(parts: Partial<World> = {}): World {
  return {
    node: node("self"),
    nodes: [],
    interfaces: ["eth0", "eth1"],
    uplinks: ["eth0"],
    policies: [],
    sets: new Map(),
    failSafe: [],
    unparsable: "Drop",
    socketMaps: [],
    nowMs: 0,
    ...parts,
  };
}

export function node(
  name: string,
  labels: Readonly<Record<string, string>> = {},
  addresses: readonly string[] = [],
): NodeRecord {
  return {
    kind: "Node",
    name,
    origin: ORIGIN,
    labels,
    addresses: addresses.map(parseCidr),
    internalAddresses: [],
    createdAtMs: 0,
    podCidrs: [],
    isLeaving: false,
  };
}

/** Priority 100, every node, the uplinks, Enforce, `defaultAction: Pass`. */
export function policy(
  name: string,
  rules: readonly RuleRecord[],
  parts: Partial<XdpPolicyRecord> = {},
): XdpPolicyRecord {
  return {
    kind: "XdpPolicy",
    name,
    origin: ORIGIN,
    generation: 1,
    priority: 100,
    nodeSelector: {},
    interfaces: [],
    mode: "Enforce",
    defaultAction: "Pass",
    rules,
    ...parts,
  };
}

/** Matches every packet unless `parts` says otherwise. */
export function rule(
  name: string,
  action: RuleAction["kind"] | RuleAction,
  parts: Partial<RuleRecord> = {},
): RuleRecord {
  return {
    name,
    action: typeof action === "string" ? plainAction(action) : action,
    from: [],
    to: [],
    protocols: [],
    traits: [],
    logOneIn: 0,
    ...parts,
  };
}

function plainAction(kind: RuleAction["kind"]): RuleAction {
  switch (kind) {
    case "Limit":
      return limit({});
    case "Redirect":
      return { kind, target: { kind: "cpus", cpus: [0] } };
    case "Accept":
    case "Drop":
    case "Pass":
      return { kind };
  }
}

/** One packet per second, burst 1, one bucket on the node. */
export function limit(parts: Partial<RateLimit>): RuleAction {
  return {
    kind: "Limit",
    rateLimit: {
      unit: "packets",
      rate: 1,
      burst: 1,
      per: "Node",
      ipv4PrefixLength: 24,
      ipv6PrefixLength: 64,
      ...parts,
    },
  };
}
