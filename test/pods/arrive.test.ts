/** pod_arrive by test run: what comes in from outside of the node (docs/pods.md). */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import {
  arp,
  eth,
  fragment,
  ipv4,
  ipv6,
  type Layer,
  packet,
  payload,
  vlan,
} from "../support/packets.js";
import { icmp, icmpv6, tcp, udp } from "../support/transports.js";
import { PodRoutes } from "../../operator/apply/pod-routes.js";
import { openFixture } from "./fixture.js";
import { type Met, type PodRule, words } from "./harness.js";

const f = await openFixture();
after(() => f.close());
beforeEach(() => f.pods.forget());

const port = (kind: "tcp" | "udp", number: number) => [
  { kind, destinationPort: { start: number, end: number } },
];
/** a takes TCP 80 and UDP 53 from the pods of one other node, and sends UDP only. */
const rules: readonly PodRule[] = [
  {
    rule: "web",
    action: "Accept",
    ingressOf: ["a"],
    from: ["10.2.0.0/24", "fd01::/64"],
    protocols: port("tcp", 80),
  },
  { rule: "dns", action: "Accept", ingressOf: ["a"], protocols: port("udp", 53) },
  { rule: "asks", action: "Accept", egressOf: ["a"], protocols: port("udp", 53) },
  { rule: "isolated", action: "Drop", ingressOf: ["a"], egressOf: ["a"] },
];

const ROUTER = "02:00:00:00:00:fe";
const AWAY = { 4: "10.2.0.9", 6: "fd01::9" } as const;
const UPLINK = f.gateway;

const steps = ({ steps: found }: Met) =>
  found.map(({ at, verdict, reason }) => `${at} ${verdict} ${reason}`);

const head = (source: string, destination: string, hops = 64): Layer =>
  source.includes(":")
    ? ipv6({ source, destination, hopLimit: hops })
    : ipv4({ source, destination, ttl: hops });
const frame = (source: string, destination: string, ...inner: readonly Layer[]) =>
  packet(eth({ source: ROUTER, destination: UPLINK }), head(source, destination), ...inner);

for (const family of [4, 6] as const) {
  const a = () => f.address("a", family);
  const from = (source: string, ...inner: readonly Layer[]) =>
    f.arrive(frame(source, a(), ...inner));

  describe(`what arrives for a pod, IPv${family}`, () => {
    before(async () => {
      await f.pods.apply(rules);
      new PodRoutes(f.pods.datapath.podRoutes).set([
        { cidr: "10.2.0.0/24", device: 1, isTunnel: false },
        { cidr: "fd01::/64", device: 1, isTunnel: false },
        { cidr: "10.3.0.0/24", device: f.node.indexOf("tunnel"), isTunnel: true },
        { cidr: "fd03::/64", device: f.node.indexOf("tunnel"), isTunnel: true },
      ]);
    });

    it("goes straight to it when its policies allow that, one hop less and from its gateway", () => {
      const met = from(AWAY[family], tcp());
      assert.equal(met.action, "redirect");
      assert.deepEqual(steps(met), ["a:in pass rule"]);
      assert.deepEqual(met.rules, ["web"]);
      const delivered = packet(
        eth({ source: f.gateway, destination: f.mac("a") }),
        head(AWAY[family], a(), 63),
        tcp(),
      );
      assert.deepEqual(met.packet, delivered);
      assert.deepEqual(steps(from(AWAY[family], tcp({ flags: ["ACK"] }))), ["a:in pass flow"]);
    });

    it("is dropped when they do not", () => {
      for (const met of [
        from(AWAY[family], tcp({ destinationPort: 81 })),
        from(outside(), tcp()),
      ]) {
        assert.equal(met.action, "drop");
        assert.deepEqual(steps(met), ["a:in drop rule"]);
      }
    });

    it("goes by the stack when it comes from outside of the cluster and conntrack must know it", () => {
      const met = from(outside(), udp());
      assert.equal(met.action, "stack");
      assert.deepEqual(steps(met), []);
    });

    it("may be an answer, and an error of a router about what the pod has sent", () => {
      const query = udp({ sourcePort: 40000, destinationPort: 53 });
      const answer = udp({ sourcePort: 53, destinationPort: 40000 });
      const about = (source: string, destination: string) =>
        f.arrive(
          packet(
            eth({ source: ROUTER, destination: UPLINK }),
            head(family === 4 ? "192.0.2.254" : "2001:db8::fe", a()),
            family === 4 ? icmp({ type: 3, code: 4 }) : icmpv6({ type: 2 }),
            head(source, destination),
            udp({ sourcePort: 40000, destinationPort: 53 }),
          ),
        );
      assert.deepEqual(steps(from(AWAY[family], answer)), ["a:in drop rule"]);
      assert.deepEqual(steps(about(a(), AWAY[family])), ["a:in drop rule"]);
      const asked = f.out("a", packet(f.eth("a"), head(a(), AWAY[family]), query));
      assert.deepEqual(steps(asked), ["a:out pass rule"]);
      assert.deepEqual(steps(from(AWAY[family], answer)), ["a:in pass flow"]);
      assert.equal(about(a(), AWAY[family]).action, "redirect");
      assert.deepEqual(steps(about(a(), AWAY[family])), ["a:in pass flow"]);
      assert.deepEqual(steps(about(f.address("b", family), AWAY[family])), ["a:in drop rule"]);
    });

    it("follows its first fragment", () => {
      const first = () =>
        family === 4
          ? packet(
              eth({ source: ROUTER, destination: UPLINK }),
              ipv4({ source: AWAY[4], destination: a(), moreFragments: true, id: 7 }),
              udp({ length: 24 }),
              payload(8),
            )
          : frame(AWAY[6], a(), fragment({ more: true, id: 7 }), udp({ length: 24 }), payload(8));
      const later = () =>
        family === 4
          ? packet(
              eth({ source: ROUTER, destination: UPLINK }),
              ipv4({ source: AWAY[4], destination: a(), fragmentOffset: 16, id: 7, protocol: 17 }),
              payload(8),
            )
          : frame(AWAY[6], a(), fragment({ offset: 16, id: 7, nextHeader: 17 }), payload(8));
      assert.deepEqual(steps(f.arrive(later())), ["a:in drop rule"]);
      assert.deepEqual(steps(f.arrive(first())), ["a:in pass rule"]);
      const met = f.arrive(later());
      assert.equal(met.action, "redirect");
      assert.deepEqual(steps(met), ["a:in pass rule"]);
    });

    it("is the stack's when a router has something to say, and judged behind it", () => {
      const last = packet(
        eth({ source: ROUTER, destination: UPLINK }),
        head(AWAY[family], a(), 1),
        tcp(),
      );
      const other = packet(
        eth({ source: ROUTER, destination: "02:00:00:00:00:77" }),
        head(AWAY[family], a()),
        tcp(),
      );
      const martian = frame(family === 4 ? "127.0.0.1" : "::1", a(), tcp());
      for (const odd of [last, other, martian]) {
        const met = f.arrive(odd);
        assert.equal(met.action, "stack");
        assert.deepEqual(steps(met), []);
        assert.deepEqual(met.packet, Buffer.from(odd));
      }
    });

    it("is dropped when it cannot be read", () => {
      const met = f.arrive(frame(AWAY[family], a(), tcp()).subarray(0, family === 4 ? 44 : 64));
      assert.equal(met.action, "drop");
      assert.deepEqual(steps(met), ["a:in drop truncated"]);
    });
  });

  describe(`where it cannot come from, IPv${family}`, () => {
    const outsideOf = (met: Met) => [met.action, ...steps(met)];

    it("local pods, whoever it is for", () => {
      const met = [
        from(f.address("b", family), tcp()),
        f.arrive(frame(f.address("b", family), outside(), tcp())),
      ];
      for (const one of met) assert.deepEqual(outsideOf(one), ["drop", "? drop spoofed"]);
    });

    it("the node's own addresses", () => {
      const own = family === 4 ? "192.0.2.10" : "2001:db8::10";
      f.pods.datapath.nodeAddresses.update({ address: words(own), family }, { hostPorts: 0 });
      assert.deepEqual(outsideOf(from(own, tcp())), ["drop", "a:in drop spoofed"]);
    });

    it("pods behind a tunnel, but by the tunnel", () => {
      const away = family === 4 ? "10.3.0.1" : "fd03::1";
      const query = frame(away, a(), udp());
      assert.deepEqual(outsideOf(f.arrive(query)), ["drop", "a:in drop spoofed"]);
      assert.deepEqual(outsideOf(f.arrive(query, "tunnel")), ["redirect", "a:in pass rule"]);
    });
  });

  function outside(): string {
    return family === 4 ? "198.51.100.7" : "2001:db8:1::7";
  }
}

describe("what is for no pod", () => {
  it("is left to the stack, untouched and uncounted", () => {
    const ethernet = eth({ source: ROUTER, destination: UPLINK });
    for (const other of [
      frame("198.51.100.7", "192.0.2.10", tcp()),
      frame("2001:db8:1::7", "2001:db8::10", tcp()),
      packet(ethernet, arp()),
      packet(ethernet, vlan(), head(AWAY[4], "10.1.0.1"), tcp()),
      packet(eth({ source: ROUTER, destination: UPLINK, etherType: 0x88cc }), payload(40)),
      frame("198.51.100.7", "192.0.2.10", tcp()).subarray(0, 40),
    ]) {
      const met = f.arrive(other);
      assert.equal(met.action, "stack");
      assert.deepEqual(steps(met), []);
      assert.deepEqual(met.packet, Buffer.from(other));
    }
  });
});
