/**
 * What the agent's core offers to its surface (unix-socket API, metrics, status). JSON-ready: numbers, strings, plain
 * objects; counters are numbers (2^53 packets at 100 Mpps last 2.8 years; values above lose the last digits only).
 */
import type { Place } from "../model/pod-facts.js";
import type { ObjectRecord, Problem, RuleRecord } from "../model/records.js";
import type { SourceState } from "../model/source-state.js";

export type VerdictName = "pass" | "drop" | "redirect" | "aborted";

/** Why a packet got its verdict; meanings in docs/xdp-policy.md and, for pods, docs/pods.md. */
export type ReasonName =
  | "no-rule"
  | "not-judged"
  | "not-ip"
  | "rule"
  | "default"
  | "limit"
  | "redirect"
  | "established"
  | "truncated"
  | "vlan-depth"
  | "extension-headers"
  | "internal"
  | "spoofed"
  | "unknown-pod"
  | "translation"
  | "flow";

export interface Counter {
  readonly packets: number;
  readonly bytes: number;
}

/** One rule in force, in order of judgement. */
export interface RuleState {
  /** "fail-safe" and "node-local" are the built-in policies. */
  readonly policy: string;
  /** Rule name; "default" for a policy's defaultAction. */
  readonly rule: string;
  readonly action: "Accept" | "Drop" | "Pass" | "Limit" | "Redirect";
  readonly mode: "Enforce" | "Audit";
  readonly priority?: number;
  /** Interfaces of this node that it judges. */
  readonly interfaces: readonly string[];
  /** Short text of its conditions, for people: `from 10.0.0.0/8, set spamhaus; tcp 443`. */
  readonly match: string;
  readonly matched: Counter;
  /** Limit: the part above the rate. */
  readonly exceeded: Counter;
  /** When counting began, RFC 3339; missing: before this agent. Rules of pods alone have it. */
  readonly countedSince?: string;
  readonly expiresAt?: string;
}

/** An object that feeds a set. */
export interface SetObjectState {
  readonly name: string;
  /** Of the newest version that the source accepted. */
  readonly generation: number;
  /** Of the version that packets are judged by; missing while no policy in force uses it. */
  readonly generationInForce?: number;
}

export interface SetState {
  readonly name: string;
  /** Those that are there; a set whose objects are all gone may still be in force as it was. */
  readonly objects: readonly SetObjectState[];
  readonly ipv4Prefixes: number;
  readonly ipv6Prefixes: number;
  /** Policies that use it; an unused set takes no kernel memory. */
  readonly usedBy: readonly string[];
  /** Next expiry of an entry, RFC 3339. */
  readonly nextExpiry?: string;
}

export interface InterfaceState {
  readonly name: string;
  readonly index: number;
  /** Requested by the agent's configuration, and what the kernel granted. */
  readonly requestedMode: "native" | "generic" | "offload";
  readonly mode: "native" | "generic" | "offload" | "none";
  readonly attached: boolean;
  readonly programId?: number;
  /** Why native was not granted, or why nothing is attached. */
  readonly message?: string;
  readonly verdicts: Readonly<Record<VerdictName, Counter>>;
}

export interface TableState {
  readonly name: string;
  readonly used: number;
  readonly capacity: number;
}

export interface PolicyState {
  readonly name: string;
  readonly generation: number;
  readonly priority: number;
  readonly mode: "Enforce" | "Audit";
  /** Whether its nodeSelector selects this node. */
  readonly selected: boolean;
  /** Selected for this node and judging at least one interface. */
  readonly inForce: boolean;
  readonly interfaces: readonly string[];
  readonly rules: number;
  /** Generation in force when the newest was refused or rolled back. */
  readonly generationInForce?: number;
  /** Waiting for `sluicectl confirm` until this time, RFC 3339. */
  readonly confirmBy?: string;
  readonly rolledBack?: boolean;
  readonly problems: readonly Problem[];
}

/** Packets that went wrong behind a verdict, since the agent started: the kernel's XDP tracepoints. */
export interface ExceptionCounts {
  /** XDP_ABORTED, or an action that the driver does not know. */
  readonly action: number;
  /** Redirected packets that found no target or no room. */
  readonly redirect: number;
  /** Packets that a CPU's queue had no room for. */
  readonly cpuQueueFull: number;
}

/** Addresses of one podCIDR of the node. */
export interface PodPoolState {
  readonly cidr: string;
  readonly used: number;
  readonly capacity: number;
}

/** The table of flows that policies allowed: docs/pods.md. All but the first two are counts since it was made. */
export interface FlowTableState {
  /** Flows in the table, those that are over and not taken out yet included. */
  readonly entries: number;
  readonly capacity: number;
  readonly opened: number;
  /** Deleted because the rules do not allow them any more. */
  readonly refused: number;
  /** Taken out because they were over. */
  readonly expired: number;
  /** Forgotten by the full table, at least. */
  readonly evicted: number;
  /** Found no place at all. */
  readonly homeless: number;
  /** From the tables of another layout. */
  readonly carried: number;
}

/** A NetworkPolicy or ClusterNetworkPolicy on this node: docs/policy.md. */
export interface PodPolicyState {
  readonly kind: "NetworkPolicy" | "ClusterNetworkPolicy";
  /** Of a NetworkPolicy. */
  readonly namespace?: string;
  readonly name: string;
  /** Of the newest version that the source accepted; 0: none. */
  readonly generation: number;
  /** Of the version that pods are judged by; 0: none. */
  readonly generationInForce: number;
  /** Of the version in force, where there is one. */
  readonly mode: "Enforce" | "Audit";
  /** Of a ClusterNetworkPolicy. */
  readonly tier?: "Admin" | "Baseline";
  readonly priority?: number;
  /**
   * `Enforcing` or `Auditing`: it acts on pods of this node. `Idle`: it has none here. `Pending`: about to act. `Refused`:
   * the newest version is invalid or does not fit; an older one may act. `Failing`: the kernel refuses a write.
   */
  readonly state: "Enforcing" | "Auditing" | "Idle" | "Pending" | "Refused" | "Failing";
  /** Pods of this node that the version in force selects, `NAMESPACE/NAME`. */
  readonly pods: readonly string[];
  /** Rules that are written in it, and places that they take in the kernel's list here. */
  readonly rules: number;
  readonly places: number;
  readonly problems: readonly Problem[];
}

/** A pod of this node that has no network, and why. */
export interface PodProblem {
  /** `NotAttached`: the runtime's ADD fails. `Closed`: it is attached, and nothing passes. */
  readonly type: "NotAttached" | "Closed";
  /** Missing parts: the runtime has not named them, and the source has not told of the pod. */
  readonly namespace?: string;
  readonly name?: string;
  /** As the runtime has it, by which also the kubelet's Events name a pod: of a static pod not that of its mirror. */
  readonly uid?: string;
  /** RFC 3339. */
  readonly since: string;
  readonly message: string;
}

/** The pods of this node and what judges them: docs/pods.md. */
export interface PodNetworkState {
  /** The source has been read once, and the kernel holds what it said. */
  readonly inSync: boolean;
  /** Last failed write to the kernel, if it is still failing. */
  readonly applyError?: string;
  readonly generation: number;
  /** Pods that are attached, and those of them whose policies are not in the kernel: nothing passes there. */
  readonly pods: number;
  readonly closedPods: number;
  readonly programs: PodProgramsState;
  readonly podProblems: readonly PodProblem[];
  /** Policies that have pods of this node as subjects. */
  readonly policies: number;
  readonly rules: number;
  readonly pools: readonly PodPoolState[];
  readonly flows: FlowTableState;
  readonly reasons: Readonly<Partial<Record<ReasonName, Counter>>>;
  readonly tables: readonly TableState[];
  /** Missing until the agent has begun with it. */
  readonly routing?: PodRoutingState;
}

/** How pods have their programs: by pinned tcx links, or still by clsact filters. */
export interface PodProgramsState {
  readonly tcx: number;
  readonly clsact: number;
}

/** How packets get from this node to the pods of others, and to the outside: docs/routing.md. */
export interface PodRoutingState {
  readonly mode: "vxlan" | "direct" | "underlay";
  /** The source has been read once, and the kernel holds what it said. */
  readonly inSync: boolean;
  /** Bytes of payload that new pods get. */
  readonly mtu: number;
  readonly devices: readonly { readonly name: string; readonly mtu: number }[];
  /** Other nodes whose pods are reached. */
  readonly nodes: number;
  /** Routes in the kernel that are Sluice's. */
  readonly routes: number;
  /** Whether packets to the outside get the address of this node. */
  readonly masquerade: boolean;
  /** What the kernel refused last, if it still does. */
  readonly error?: string;
}

/** What an agent with a pod network tells of it. */
export interface PodReports {
  state(): PodNetworkState;
  /** In order of judgement; their `interfaces` are pods. */
  rules(): readonly RuleState[];
  /** Reads no counters: it is asked for every few seconds. */
  policies(): readonly PodPolicyState[];
  /** Of policies that do not fit, and what is probably not meant. */
  problems(): readonly Problem[];
  /** SluiceError SLUICE_UNKNOWN_POD, SLUICE_CIDR. */
  locate(query: PlaceQuery): Located;
  /** As `Engine.trace`, by the policies of a pod of this node. SluiceError SLUICE_UNKNOWN_POD, SLUICE_NOT_ATTACHED. */
  trace(query: PodTraceQuery): Promise<PodTraceStep>;
  /** Tells a listener of all events from now on. */
  onEvent(listener: (event: EventState) => void): void;
}

export interface EngineStatus {
  readonly node: string;
  readonly version: string;
  readonly startedAt: string;
  /** The source has delivered everything once and the kernel holds it. */
  readonly inSync: boolean;
  /** Number of the rule generation in force. */
  readonly generation: number;
  readonly layout: string;
  readonly pinFolder: string;
  readonly interfaces: readonly InterfaceState[];
  readonly policies: readonly PolicyState[];
  readonly tables: readonly TableState[];
  /** Everything wrong with the input now. */
  readonly problems: readonly Problem[];
  /** Missing where the kernel does not let them be traced. */
  readonly exceptions?: ExceptionCounts;
  /** Last failed write to the kernel, if it is still failing. */
  readonly applyError?: string;
  readonly lastApply?: { readonly at: string; readonly milliseconds: number };
  /** Missing until the agent has begun to read. */
  readonly source?: SourceState;
  /** Missing without a pod network. */
  readonly podNetwork?: PodNetworkState;
}

export interface ProtocolState extends Counter {
  /** 0–255, or 256 for frames that are not IP. */
  readonly protocol: number;
  readonly name: string;
}

export interface BlockedState {
  readonly cidr: string;
  /** RFC 3339; absent: until unblocked. */
  readonly until?: string;
}

export interface TraceStage {
  /** parse, interface, source, destination, ports, flags, traits, rule, verdict … */
  readonly stage: string;
  readonly text: string;
}

export interface TraceResult {
  readonly interface: string;
  readonly stages: readonly TraceStage[];
  readonly verdict: VerdictName;
  readonly reason: ReasonName;
  readonly policy?: string;
  readonly rule?: string;
  /** Rules that matched on the way, in order, with their effect ("audit: drop", "pass", "within limit" …). */
  readonly matched: readonly {
    readonly policy: string;
    readonly rule: string;
    readonly effect: string;
  }[];
}

/** By `NAMESPACE/NAME`, or by address. */
export type PlaceQuery =
  | { readonly pod: string; readonly address?: undefined }
  | { readonly address: string; readonly pod?: undefined };

export interface Located {
  /** Of the agent that answers. */
  readonly node: string;
  readonly place: Place;
  /** A pod that is attached to this node: its packets can be traced here. */
  readonly isAttached: boolean;
}

export type PodDirection = "egress" | "ingress";

export interface PodTraceQuery {
  /** `NAMESPACE/NAME` of a pod that is attached to the node. */
  readonly pod: string;
  /** By its egress policies what it sends, or by its ingress policies what it receives. */
  readonly direction: PodDirection;
  /** From its Ethernet header, whose addresses are those of the pod's link whatever it says. */
  readonly frame: Uint8Array;
  /**
   * Missing: the first packet of a connection that nothing is known of. `exact`: by what the flow table says of it now.
   * `newest`: by the newest flow that differs in nothing but the source port.
   */
  readonly flow?: "exact" | "newest";
}

/** What the flow table says of a packet. */
export interface PodFlowState {
  /** Goes the way of the packet that opened the flow, or answers it. */
  readonly way: "forth" | "back";
  readonly sourcePort: number;
  readonly ageSeconds: number;
  readonly idleSeconds: number;
  /** Over after so long without a packet. */
  readonly lifetimeSeconds: number;
  readonly packetsForth: number;
  readonly packetsBack: number;
  /** The rules in force have allowed it at this end, not only earlier ones. */
  readonly isCurrent: boolean;
  /** The rule that allowed it at this end; missing where none matched, or policies were not asked. */
  readonly policy?: string;
  readonly rule?: string;
}

/** One end of a packet's way: what the policies of one pod say. */
export interface PodTraceStep extends Omit<TraceResult, "interface"> {
  readonly direction: PodDirection;
  readonly pod: string;
  readonly node: string;
  /** Its policies are not compiled yet: nothing passes but what its node sends. */
  readonly isClosed: boolean;
  /** Egress that passed: past the stack of the node to a local pod, or by a route to another node; or to the stack. */
  readonly delivery: "pod" | "route" | "stack";
  /** Asked for by `flow`, and found. */
  readonly flow?: PodFlowState;
}

export interface EventState {
  /** RFC 3339 with microseconds. */
  readonly time: string;
  readonly policy: string;
  readonly rule: string;
  readonly effect: string;
  readonly audit: boolean;
  readonly interface: string;
  /** `NAMESPACE/NAME` of the pod whose rule it is, and what of its packets the rule judges; missing on uplinks. */
  readonly pod?: string;
  readonly direction?: PodDirection;
  /** Length of the frame in bytes. */
  readonly length: number;
  /** First bytes of the frame, base64. */
  readonly bytes: string;
}

export type ObjectEvent =
  | { readonly type: "upsert"; readonly record: ObjectRecord }
  | { readonly type: "delete"; readonly kind: ObjectRecord["kind"]; readonly name: string }
  | { readonly type: "synced" };

/** The agent's core. Nothing is written to the kernel before the first "synced". */
export interface Engine {
  /** Loads or adopts the datapath. Errors are SluiceError. */
  start(): Promise<void>;
  /** Level-triggered: the newest record of a name wins; applying is coalesced. */
  submit(event: ObjectEvent): void;
  /** `ADDRESS:PORT` of API servers that were found, besides those configured: the default fail-safe rules let them in. */
  setApiServers(endpoints: readonly string[]): void;
  /** Tells where to ask how the source is doing, for reports. */
  setSource(state: () => SourceState): void;
  /** Tells where to ask about pods, for reports. */
  setPods(pods: PodReports): void;
  /** Replaces the source's list of problems (refused files, objects). */
  setSourceProblems(problems: readonly Problem[]): void;
  status(): EngineStatus;
  rules(): readonly RuleState[];
  /** Rules that judge this node's pods; their `interfaces` are pods. Empty without a pod network. */
  podRules(): readonly RuleState[];
  /** Policies of pods; undefined without a pod network. It reads no counters. */
  podPolicies(): readonly PodPolicyState[] | undefined;
  sets(): readonly SetState[];
  reasons(): Readonly<Partial<Record<ReasonName, Counter>>>;
  protocols(): readonly ProtocolState[];
  /** Address or CIDR text; in force when the promise resolves. */
  block(cidr: string, forMs?: number): Promise<BlockedState>;
  /** False when it was not blocked. */
  unblock(cidr: string): Promise<boolean>;
  blocked(): readonly BlockedState[];
  /** SluiceError when the policy waits for nothing. */
  confirm(policy: string): Promise<void>;
  /** Runs the loaded program on the live tables without side effects. */
  trace(frame: Uint8Array, interfaceName: string): Promise<TraceResult>;
  /** What can be asked about pods. SluiceError SLUICE_NO_POD_NETWORK without a pod network. */
  pods(): PodReports;
  /** Sampled events from now on; returns how to stop. */
  onEvent(listener: (event: EventState) => void): () => void;
  /** Events lost to a full ring or the kernel-side cap since start. */
  eventsLost(): number;
  /** Leaves links, pins and tables in force: traffic is judged on. */
  close(): Promise<void>;
}

/** The agent's configuration, strongest first: flags, environment (SLUICE_…), file. */
export interface EngineOptions {
  readonly nodeName: string;
  readonly nodeLabels: Readonly<Record<string, string>>;
  /** Globs of the interfaces that policies without `interfaces` mean; empty: those with a default route. */
  readonly uplinks: readonly string[];
  readonly mode: "native" | "generic" | "offload";
  /** Folder in a bpffs; one per agent. */
  readonly pinRoot: string;
  /** Folder for what must survive a restart but is not in the kernel (blocked addresses). */
  readonly stateFolder: string;
  readonly unparsable: "Drop" | "Pass";
  /** Fail-safe rules, already validated and projected; undefined: the default list. */
  readonly failSafe: readonly RuleRecord[] | undefined;
  /** "ADDRESS:PORT" of the API servers, from which a fail-safe rule accepts. */
  readonly apiServers: readonly string[];
  /** "ADDRESS:PORT"s: when a trial's time is up and all of them answer, the policy is kept without a person. */
  readonly confirmProbes: readonly string[];
  /** Per CPU: the cap is kept in the kernel, where CPUs do not share a count. */
  readonly eventsPerSecond: number;
  /** 64-byte lines of address tables, both halves together. */
  readonly addressLines: number;
  /** Write the deciding rule into the XDP metadata area. */
  readonly metadata: boolean;
}
