import type {
  BlockedState,
  Engine,
  EngineStatus,
  EventState,
  RuleState,
  SetState,
  TraceResult,
} from "../../operator/api/engine.js";
import { SluiceError } from "../../operator/errors.js";
import { podPolicies, podRules } from "./fixture-pods.js";

const none = { packets: 0, bytes: 0 };

export const status: EngineStatus = {
  node: "node1",
  version: "0.1.0",
  startedAt: "2026-01-01T00:00:00.000Z",
  inSync: true,
  generation: 7,
  layout: "abc123",
  pinFolder: "/sys/fs/bpf/sluice/abc123",
  interfaces: [
    {
      name: "eth0",
      index: 2,
      requestedMode: "native",
      mode: "generic",
      attached: true,
      programId: 12,
      message: "the driver refuses native mode",
      verdicts: {
        pass: { packets: 1_234_567, bytes: 80_000_000 },
        drop: { packets: 42, bytes: 2520 },
        redirect: none,
        aborted: none,
      },
    },
  ],
  policies: [
    {
      name: "edge",
      generation: 3,
      priority: 100,
      mode: "Enforce",
      selected: true,
      inForce: true,
      interfaces: ["eth0"],
      rules: 2,
      problems: [],
    },
  ],
  tables: [{ name: "rules", used: 4000, capacity: 4096 }],
  problems: [],
  source: {
    type: "kubernetes",
    from: "https://192.0.2.1:6443",
    isSynced: true,
    isConnected: true,
    since: "2026-01-01T00:00:00.000Z",
    errors: [],
    kinds: [
      {
        kind: "XdpPolicy",
        objects: 3,
        isSynced: true,
        isConnected: true,
        events: 5,
        streams: 2,
        lists: 1,
      },
    ],
  },
  lastApply: { at: "2026-01-01T00:00:01.000Z", milliseconds: 3.5 },
};

export const rules: readonly RuleState[] = [
  {
    policy: "fail-safe",
    rule: "ssh",
    action: "Accept",
    mode: "Enforce",
    interfaces: ["eth0"],
    match: "tcp 22",
    matched: none,
    exceeded: none,
  },
  {
    policy: "edge",
    rule: "bad",
    action: "Drop",
    mode: "Audit",
    priority: 100,
    interfaces: ["eth0"],
    match: "from set spamhaus",
    matched: { packets: 40, bytes: 4096 },
    exceeded: none,
  },
  {
    policy: "edge",
    rule: "slow",
    action: "Limit",
    mode: "Enforce",
    priority: 100,
    interfaces: ["eth0"],
    match: "any packet",
    matched: { packets: 100, bytes: 6000 },
    exceeded: { packets: 30, bytes: 1800 },
  },
];

export const sets: readonly SetState[] = [
  {
    name: "spamhaus",
    objects: [
      { name: "spamhaus-1", generation: 2, generationInForce: 2 },
      { name: "spamhaus-2", generation: 5, generationInForce: 4 },
    ],
    ipv4Prefixes: 50_000,
    ipv6Prefixes: 12,
    usedBy: ["edge"],
  },
];

export const event: EventState = {
  time: "2026-01-01T12:34:56.123456Z",
  policy: "edge",
  rule: "bad",
  effect: "drop",
  audit: true,
  interface: "eth0",
  length: 54,
  // tcp 10.0.0.1:1234 > 10.77.0.11:80 SYN
  bytes: "AgAAAAACAgAAAAABCABFAAAoAABAAEAGJZMKAAABCk0ACwTSAFAAAAABAAAAAFAC+vAAAAAA",
};

export const traced: TraceResult = {
  interface: "eth0",
  stages: [
    { stage: "parse", text: "IPv4 TCP, port 1234 to 80, flags SYN" },
    { stage: "rule", text: "edge/bad: drop" },
    { stage: "verdict", text: "drop, reason rule by edge/bad" },
  ],
  verdict: "drop",
  reason: "rule",
  policy: "edge",
  rule: "bad",
  matched: [{ policy: "edge", rule: "bad", effect: "drop" }],
};

export interface FixtureEngine extends Engine {
  /** Sends an event to all listeners. */
  emit(event: EventState): void;
  readonly listeners: ReadonlySet<unknown>;
  /** What was asked of it, in order. */
  readonly calls: readonly (readonly unknown[])[];
}

/**
 * An engine of plain data: what the surface does with answers is tested apart from where they come
 * from.
 */
export function createFixtureEngine(overrides: Partial<Engine> = {}): FixtureEngine {
  const listeners = new Set<(event: EventState) => void>();
  const calls: (readonly unknown[])[] = [];
  const blocked = new Map<string, BlockedState>();
  return {
    listeners,
    calls,
    emit: (sent) => {
      for (const listener of listeners) listener(sent);
    },
    start: async () => {},
    submit: () => {},
    setApiServers: () => {},
    setSource: () => {},
    setPods: () => {},
    setSourceProblems: () => {},
    status: () => status,
    rules: () => rules,
    podRules: () => podRules,
    podPolicies: () => podPolicies,
    sets: () => sets,
    reasons: () => ({ rule: { packets: 42, bytes: 2520 } }),
    protocols: () => [
      { protocol: 6, name: "TCP", packets: 100, bytes: 6000 },
      { protocol: 17, name: "UDP", packets: 300, bytes: 24_000 },
      { protocol: 253, name: "protocol 253", packets: 1, bytes: 60 },
      { protocol: 254, name: "protocol 254", packets: 2, bytes: 120 },
      { protocol: 256, name: "not IP", packets: 5, bytes: 300 },
    ],
    block: async (cidr, forMs) => {
      calls.push(["block", cidr, forMs]);
      if (cidr === "10.0.0.1/8") {
        throw new SluiceError("SLUICE_CIDR", "10.0.0.1/8 has host bits", {
          remedy: "Write 10.0.0.0/8",
        });
      }
      const entry = { cidr, ...(forMs !== undefined && { until: "2026-01-01T00:10:00.000Z" }) };
      blocked.set(cidr, entry);
      return entry;
    },
    unblock: async (cidr) => blocked.delete(cidr),
    blocked: () => [...blocked.values()],
    confirm: async (policy) => {
      calls.push(["confirm", policy]);
    },
    trace: async (frame, interfaceName) => {
      calls.push(["trace", Buffer.from(frame).toString("hex"), interfaceName]);
      return { ...traced, interface: interfaceName };
    },
    pods: () => {
      throw new SluiceError("SLUICE_NO_POD_NETWORK", "this agent has no pod network");
    },
    onEvent: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    eventsLost: () => 9,
    close: async () => {},
    ...overrides,
  };
}
