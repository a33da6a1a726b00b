import { parse } from "yaml";

export type JsonObject = Readonly<Record<string, unknown>>;

/** One valid object of each kind in which every field of the spec's schema is there somewhere. */
export const completeObjects: readonly JsonObject[] = [
  parse(`
apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: complete}
spec:
  priority: 100
  nodeSelector:
    matchLabels: {role: edge}
    matchExpressions: [{key: example.com/zone, operator: In, values: [a]}]
  interfaces: ["eth*"]
  mode: Enforce
  confirmWithin: 2m
  defaultAction: Drop
  ingress:
  - name: packets
    action: Limit
    rateLimit: {packetsPerSecond: 1000, burst: 100, per: SourcePrefix, ipv4PrefixLength: 24, ipv6PrefixLength: 64}
    log: {oneIn: 100}
    expiresAt: "2100-01-01T00:00:00Z"
  - {name: bytes, action: Limit, rateLimit: {bytesPerSecond: 1000000}}
  - {name: cpus, action: Redirect, redirect: {cpus: [2]}}
  - {name: interface, action: Redirect, redirect: {interface: eth1}}
  - {name: sockets, action: Redirect, redirect: {socketMap: sockets}}
  - name: matches
    action: Drop
    from: &peers
    - {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
    - {cidrSet: spamhaus}
    - nodes:
        matchLabels: {role: edge}
        matchExpressions: [{key: example.com/zone, operator: In, values: [a]}]
    to: *peers
    protocols:
    - tcp:
        destinationPort: {number: 443}
        sourcePort: {number: 1024}
        flags: {set: [SYN], unset: [ACK]}
    - tcp: &ranges
        destinationPort: {range: {start: 1, end: 1024}}
        sourcePort: {range: {start: 1, end: 1024}}
    - udp: &numbers {destinationPort: {number: 53}, sourcePort: {number: 53}}
    - udp: *ranges
    - sctp: *numbers
    - sctp: *ranges
    - icmp: {type: 8, code: 0}
    - icmpv6: {type: 128, code: 0}
    - protocol: 47
    traits: [Fragment]
`) as JsonObject,
  parse(`
apiVersion: sluice.dev/v1alpha1
kind: XdpCidrSet
metadata: {name: complete}
spec:
  setName: spamhaus
  cidrs: [192.0.2.0/24]
  expiring: [{cidr: 203.0.113.9/32, expiresAt: "2100-01-01T00:00:00Z"}]
`) as JsonObject,
];
