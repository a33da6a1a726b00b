import type { JsonObject } from "./complete-objects.js";

/** Makes a value, one that a CEL rule is on, break just this rule. */
export type Break = (value: never) => unknown;

const ports = { start: 1, end: 2 };

/**
 * Ways to break each CEL rule, by the first words of its message: the same rule stands in several
 * places of the schemas, and is tried in all of them.
 */
export const ruleCases: Readonly<Record<string, readonly Break[]>> = {
  "the names fail-safe and node-local stand for the agent's own rules": [
    (object: JsonObject) => ({ ...object, metadata: { name: "fail-safe" } }),
    (object: JsonObject) => ({ ...object, metadata: { name: "node-local" } }),
  ],
  "values are given exactly when the operator is In or NotIn": [
    () => ({ key: "role", operator: "In" }),
    () => ({ key: "role", operator: "NotIn", values: [] }),
    () => ({ key: "role", operator: "Exists", values: ["edge"] }),
    () => ({ key: "role", operator: "DoesNotExist", values: ["edge"] }),
  ],
  "looks like a regular expression": [
    "^eth0",
    "eth0$",
    "(eth|ens)0",
    "eth[0-9]",
    "eth\\d",
    "e{2}",
  ].map((glob) => () => glob),
  "has a slash, colon or blank": ["eth0/1", "eth0:1", "eth 0", "eth0\t"].map((glob) => () => glob),
  "is longer than the 15 characters of an interface name": [() => "enp0s31f6enp0s31"],
  "leaves no time to confirm": [() => "0s", () => "0h0m0ms"],
  "action Limit needs a rateLimit": [() => ({ name: "a", action: "Limit" })],
  "rateLimit belongs to action Limit only": ["Accept", "Drop", "Pass"].map((action) => () => ({
    name: "a",
    action,
    rateLimit: { packetsPerSecond: 1 },
  })),
  "action Redirect needs a redirect": [() => ({ name: "a", action: "Redirect" })],
  "redirect belongs to action Redirect only": ["Accept", "Drop", "Pass"].map((action) => () => ({
    name: "a",
    action,
    redirect: { cpus: [1] },
  })),
  "the name default stands for the policy's defaultAction": [
    () => ({ name: "default", action: "Drop" }),
  ],
  "exactly one of cidr, cidrSet and nodes is needed": [
    () => ({}),
    () => ({ cidr: "10.0.0.0/8", cidrSet: "a" }),
    () => ({ cidrSet: "a", nodes: {} }),
    () => ({ cidr: "10.0.0.0/8", cidrSet: "a", nodes: {} }),
  ],
  "except takes blocks out of a cidr": [
    () => ({ cidrSet: "a", except: ["10.0.0.0/8"] }),
    () => ({ nodes: {}, except: [] }),
  ],
  "is not a canonical CIDR": [
    "10.0.0.1/8",
    "10.0.0.0",
    "010.0.0.0/8",
    "10.0.0.0/08",
    "10.0.0.0/33",
    "2001:DB8::/32",
    "2001:db8:0::/32",
    "2001:db8::1/32",
    "::ffff:10.0.0.0/104",
    "::ffff:a00:0/104",
    "host.example",
    "",
  ].map((text) => () => text),
  "is not a canonical address or CIDR of length 1 or more": [
    "10.0.0.1/8",
    "0.0.0.0/0",
    "::/0",
    "010.0.0.1",
    "10.0.0.0/08",
    "10.0.0",
    "2001:DB8::1",
    "2001:db8::0:1",
    "2001:db8::1/32",
    "::ffff:10.0.0.1",
    "::ffff:a00:1",
    "::ffff:a00:0/104",
    "fe80::1%eth0",
    "host.example",
    "",
  ].map((text) => () => text),
  "exactly one of tcp, udp, sctp, icmp, icmpv6 and protocol is needed": [
    () => ({}),
    () => ({ tcp: {}, udp: {} }),
    () => ({ sctp: {}, icmp: {}, icmpv6: {}, protocol: 1 }),
  ],
  "exactly one of number and range is needed": [() => ({}), () => ({ number: 1, range: ports })],
  "a flag is in set and in unset": [
    () => ({ set: ["SYN", "FIN"], unset: ["FIN"] }),
    () => ({ set: ["SYN"], unset: ["ACK", "SYN"] }),
  ],
  "the port range runs backwards": [
    () => ({ start: 2, end: 1 }),
    () => ({ start: 65_535, end: 0 }),
  ],
  "exactly one of packetsPerSecond and bytesPerSecond is needed": [
    () => ({}),
    () => ({ burst: 3 }),
    () => ({ packetsPerSecond: 1, bytesPerSecond: 1 }),
  ],
  "exactly one of cpus, interface and socketMap is needed": [
    () => ({}),
    () => ({ cpus: [1], interface: "eth1" }),
    () => ({ cpus: [1], interface: "eth1", socketMap: "a" }),
  ],
  "cidrs and expiring hold more than 50,000 entries together": [
    (spec: JsonObject) => ({
      ...spec,
      cidrs: Array.from({ length: 50_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`),
    }),
  ],
};
