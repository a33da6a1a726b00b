import type { Counter as Count, PodPoolState } from "../api/engine.js";
import type { KindState } from "../model/source-state.js";
import { protocolLabel } from "./protocol-label.js";
import type { Snapshot } from "./snapshot.js";

export type Labels = Readonly<Record<string, string>>;
export type Samples = Iterable<readonly [labels: Labels, value: number]>;

/** One metric family: its name, and its series in a snapshot. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly labels: readonly string[];
  readonly samples: (snapshot: Snapshot) => Samples;
}

function counter(
  name: string,
  help: string,
  labels: readonly string[],
  samples: Family["samples"],
): Family {
  return { name: `sluice_${name}_total`, help, type: "counter", labels, samples };
}

function gauge(
  name: string,
  help: string,
  labels: readonly string[],
  samples: Family["samples"],
): Family {
  return { name: `sluice_${name}`, help, type: "gauge", labels, samples };
}

type Counted = Iterable<readonly [labels: Labels, count: Count]>;

/** The twins `…_packets_total` and `…_bytes_total`. */
function twins(
  name: string,
  help: string,
  labels: readonly string[],
  counted: (snapshot: Snapshot) => Counted,
): readonly Family[] {
  return (["packets", "bytes"] as const).map((unit) =>
    counter(
      `${name}_${unit}`,
      `${unit === "packets" ? "Packets" : "Bytes"} ${help}`,
      labels,
      (snapshot) => [...counted(snapshot)].map(([key, count]) => [key, count[unit]] as const),
    ),
  );
}

const one = (value: number): Samples => [[{}, value]];
const flag = (value: boolean): number => (value ? 1 : 0);

/** By label, so that several protocols of one label become one series. */
function byProtocol({ protocols }: Snapshot): Counted {
  const sums = new Map<string, Count>();
  for (const { protocol, packets, bytes } of protocols) {
    const label = protocolLabel(protocol);
    const sum = sums.get(label) ?? { packets: 0, bytes: 0 };
    sums.set(label, { packets: sum.packets + packets, bytes: sum.bytes + bytes });
  }
  return [...sums].map(([protocol, count]) => [{ protocol }, count] as const);
}

function problemCounts({ status }: Snapshot): Samples {
  const counts = { error: 0, warning: 0 };
  for (const { severity } of status.problems) counts[severity]++;
  return Object.entries(counts).map(([severity, count]) => [{ severity }, count] as const);
}

function byKind({ status }: Snapshot, value: (state: KindState) => number): Samples {
  return (status.source?.kinds ?? []).map((state) => [{ kind: state.kind }, value(state)] as const);
}

function poolSums({ status }: Snapshot, value: (pool: PodPoolState) => number): Samples {
  const sums = new Map<string, number>();
  for (const pool of status.podNetwork?.pools ?? []) {
    const family = pool.cidr.includes(":") ? "ipv6" : "ipv4";
    sums.set(family, (sums.get(family) ?? 0) + value(pool));
  }
  return [...sums].map(([family, sum]) => [{ family }, sum] as const);
}

/** All families but those of the process. Labels are names of objects, never addresses. */
export const families: readonly Family[] = [
  gauge(
    "build_info",
    "Version and table layout of the agent.",
    ["version", "layout"],
    ({ status }) => [[{ version: status.version, layout: status.layout }, 1]],
  ),
  gauge("in_sync", "1 when the source has been read and the kernel holds it.", [], ({ status }) =>
    one(flag(status.inSync)),
  ),
  gauge(
    "source_connected",
    "1 while changes of the objects are heard of: from the API server, or from the folder.",
    ["source"],
    ({ status }) =>
      status.source === undefined
        ? []
        : [[{ source: status.source.type }, flag(status.source.isConnected)]],
  ),
  gauge("source_objects", "Objects of a kind at the API server.", ["kind"], (snapshot) =>
    byKind(snapshot, ({ objects }) => objects),
  ),
  counter("source_events", "Events told by the API server.", ["kind"], (snapshot) =>
    byKind(snapshot, ({ events }) => events),
  ),
  counter("source_watches", "Watches opened at the API server.", ["kind"], (snapshot) =>
    byKind(snapshot, ({ streams }) => streams),
  ),
  counter("source_lists", "Whole lists read from the API server.", ["kind"], (snapshot) =>
    byKind(snapshot, ({ lists }) => lists),
  ),
  gauge("rule_generation", "Number of the rule generation in force.", [], ({ status }) =>
    one(status.generation),
  ),
  ...twins("rule", "that a rule matched.", ["policy", "rule"], ({ rules }) =>
    rules.map(({ policy, rule, matched }) => [{ policy, rule }, matched] as const),
  ),
  ...twins(
    "rule_exceeded",
    "that a Limit rule found above its rate.",
    ["policy", "rule"],
    ({ rules }) =>
      rules
        .filter(({ action }) => action === "Limit")
        .map(({ policy, rule, exceeded }) => [{ policy, rule }, exceeded] as const),
  ),
  gauge(
    "rule_info",
    "Action and mode of each rule in force.",
    ["policy", "rule", "action", "mode"],
    ({ rules }) =>
      rules.map(({ policy, rule, action, mode }) => [{ policy, rule, action, mode }, 1] as const),
  ),
  ...twins("reason", "by the reason of their verdict.", ["reason"], ({ reasons }) =>
    Object.entries(reasons).map(([reason, count]) => [{ reason }, count] as const),
  ),
  ...twins("protocol", "by IP protocol.", ["protocol"], byProtocol),
  ...twins("interface", "by interface and verdict.", ["interface", "verdict"], ({ status }) =>
    status.interfaces.flatMap(({ name, verdicts }) =>
      Object.entries(verdicts).map(
        ([verdict, count]) => [{ interface: name, verdict }, count] as const,
      ),
    ),
  ),
  gauge(
    "interface_attached",
    "1 when the program is attached, by the mode that the kernel granted.",
    ["interface", "mode"],
    ({ status }) =>
      status.interfaces.map(
        ({ name, mode, attached }) => [{ interface: name, mode }, flag(attached)] as const,
      ),
  ),
  gauge("table_entries", "Entries used in a table of the kernel.", ["table"], ({ status }) =>
    status.tables.map(({ name, used }) => [{ table: name }, used] as const),
  ),
  gauge("table_capacity", "Entries that a table has room for.", ["table"], ({ status }) =>
    status.tables.map(({ name, capacity }) => [{ table: name }, capacity] as const),
  ),
  gauge(
    "policy_in_force",
    "1 when a policy judges packets on this node.",
    ["policy"],
    ({ status }) =>
      status.policies.map(({ name, inForce }) => [{ policy: name }, flag(inForce)] as const),
  ),
  gauge(
    "policy_confirm_timestamp_seconds",
    "When a policy that waits for its confirmation is rolled back.",
    ["policy"],
    ({ status }) =>
      status.policies.flatMap(({ name, confirmBy }) =>
        confirmBy === undefined ? [] : [[{ policy: name }, Date.parse(confirmBy) / 1000] as const],
      ),
  ),
  gauge("set_prefixes", "Prefixes of a CIDR set.", ["set", "family"], ({ sets }) =>
    sets.flatMap(({ name, ipv4Prefixes, ipv6Prefixes }) => [
      [{ set: name, family: "ipv4" }, ipv4Prefixes] as const,
      [{ set: name, family: "ipv6" }, ipv6Prefixes] as const,
    ]),
  ),
  gauge(
    "blocked_prefixes",
    "Addresses and CIDRs blocked by hand on this node.",
    [],
    ({ blocked }) => one(blocked),
  ),
  gauge("pods", "Pods attached to this node.", [], ({ status: { podNetwork } }) =>
    podNetwork === undefined ? [] : one(podNetwork.pods),
  ),
  gauge(
    "pods_closed",
    "Attached pods whose policies are not in the kernel: nothing passes there.",
    [],
    ({ status: { podNetwork } }) => (podNetwork === undefined ? [] : one(podNetwork.closedPods)),
  ),
  gauge(
    "pod_route_nodes",
    "Other nodes whose pods are reached by routes of Sluice.",
    ["mode"],
    ({ status: { podNetwork } }) =>
      podNetwork?.routing === undefined
        ? []
        : [[{ mode: podNetwork.routing.mode }, podNetwork.routing.nodes] as const],
  ),
  gauge("pod_routes", "Routes of Sluice in the kernel.", [], ({ status: { podNetwork } }) =>
    podNetwork?.routing === undefined ? [] : one(podNetwork.routing.routes),
  ),
  gauge(
    "pod_routes_failing",
    "1 while routes are not as they should be.",
    [],
    ({ status: { podNetwork } }) =>
      podNetwork?.routing === undefined ? [] : one(flag(podNetwork.routing.error !== undefined)),
  ),
  gauge("pod_addresses_used", "Addresses in use of this node's podCIDRs.", ["family"], (snapshot) =>
    poolSums(snapshot, ({ used }) => used),
  ),
  gauge(
    "pod_addresses_capacity",
    "Addresses that this node's podCIDRs have for pods.",
    ["family"],
    (snapshot) => poolSums(snapshot, ({ capacity }) => capacity),
  ),
  gauge("pod_flows", "Flows of pods in their table.", [], ({ status: { podNetwork } }) =>
    podNetwork === undefined ? [] : one(podNetwork.flows.entries),
  ),
  gauge("pod_flows_capacity", "Flows that it has room for.", [], ({ status: { podNetwork } }) =>
    podNetwork === undefined ? [] : one(podNetwork.flows.capacity),
  ),
  counter(
    "pod_flows",
    "What became of flows; evicted are those that the full table forgot, at least.",
    ["event"],
    ({ status: { podNetwork } }) =>
      Object.entries(podNetwork?.flows ?? {})
        .filter(([name]) => name !== "entries" && name !== "capacity")
        .map(([event, count]) => [{ event }, count] as const),
  ),
  ...twins(
    "pod_reason",
    "that pods sent or received, by the reason of their verdict.",
    ["reason"],
    ({ status: { podNetwork } }) =>
      Object.entries(podNetwork?.reasons ?? {}).map(
        ([reason, count]) => [{ reason }, count] as const,
      ),
  ),
  gauge("problems", "What is wrong with the objects now.", ["severity"], problemCounts),
  gauge("apply_failing", "1 while the last write to the kernel failed.", [], ({ status }) =>
    one(flag(status.applyError !== undefined)),
  ),
  gauge(
    "last_apply_duration_seconds",
    "How long the last change of the kernel's tables took.",
    [],
    ({ status }) =>
      status.lastApply === undefined ? [] : one(status.lastApply.milliseconds / 1000),
  ),
  gauge("last_apply_timestamp_seconds", "When that was.", [], ({ status }) =>
    status.lastApply === undefined ? [] : one(Date.parse(status.lastApply.at) / 1000),
  ),
  counter(
    "xdp_exceptions",
    "Packets that went wrong behind a verdict, by the kernel's XDP tracepoints.",
    ["kind"],
    ({ status }) =>
      Object.entries(status.exceptions ?? {}).map(([kind, count]) => [{ kind }, count] as const),
  ),
  counter(
    "events_lost",
    "Sampled events lost to a full ring or the kernel's cap on their rate.",
    [],
    ({ eventsLost }) => one(eventsLost),
  ),
];
