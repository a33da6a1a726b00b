/** pod_out and pod_in by test run: whose packets pass, and what they meet with (docs/pods.md). */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { arp, eth, ipv4, ipv6, packet, payload, vlan, fragment, macB } from "../support/packets.js";
import { icmp, icmpv6, tcp, udp } from "../support/transports.js";
import { Limits } from "../../datapath/generated/layout.js";
import { ifIndex } from "../../datapath/index.js";
import { openFixture } from "./fixture.js";
import type { Met, PodRule } from "./harness.js";

const f = await openFixture();
after(() => f.close());
beforeEach(() => f.pods.forget());

const ALL = ["0.0.0.0/0", "::/0"];
const port = (kind: "tcp" | "udp", number: number) => [
  { kind, destinationPort: { start: number, end: number } },
];
/** Web servers: b takes TCP 80 from a, and nothing else. */
const isolateB: readonly PodRule[] = [
  {
    rule: "web",
    action: "Accept",
    ingressOf: ["b"],
    from: ["10.1.0.1/32", "fd00::1/128"],
    protocols: port("tcp", 80),
  },
  { rule: "isolated", action: "Drop", ingressOf: ["b"] },
];

const steps = ({ steps: found }: Met) =>
  found.map(({ at, verdict, reason }) => `${at} ${verdict} ${reason}`);

describe("a pod's packets", () => {
  before(() => f.pods.apply([]));
  const sent = (fields: { mac?: string; source?: string }, from = "a") =>
    f.out(
      from,
      packet(
        f.eth(from, fields.mac),
        ipv4({ source: fields.source ?? "10.1.0.1", destination: "192.0.2.1" }),
        tcp(),
      ),
    );

  it("pass with its own addresses", () => {
    const met = sent({});
    assert.equal(met.action, "stack");
    assert.deepEqual(steps(met), ["a:out pass no-rule"]);
  });

  it("are spoofed with any other link layer or IPv4 address", () => {
    for (const fields of [
      { mac: "02:00:00:00:00:99" },
      { source: "10.1.0.2" },
      { source: "0.0.0.0" },
      { source: "169.254.1.1" },
    ]) {
      const met = sent(fields);
      assert.equal(met.action, "drop");
      assert.deepEqual(steps(met), ["a:out drop spoofed"], JSON.stringify(fields));
    }
  });

  it("are spoofed with any other IPv6 address, link-local ones included", () => {
    for (const source of ["fd00::2", "fd00::", "::", "fe80::1"]) {
      const met = f.out("a", packet(f.eth("a"), ipv6({ source, destination: "fd00::2" }), udp()));
      assert.deepEqual(steps(met), ["a:out drop spoofed"], source);
    }
  });

  it("of an interface that is no pod's are dropped, both ways", () => {
    const frame = packet(f.eth("a"), ipv4({ source: "10.1.0.1", destination: "10.1.0.2" }), tcp());
    for (const program of ["podOut", "podIn"] as const) {
      const met = f.pods.run(f.node, program, frame, { ifIndex: f.uplink });
      assert.equal(met.action, "drop");
      assert.deepEqual(steps(met), ["? drop unknown-pod"]);
    }
  });

  it("that are ARP go to the stack, others that are not IP do not", () => {
    assert.deepEqual(steps(f.out("a", packet(f.eth("a"), arp()))), ["a:out pass not-ip"]);
    assert.deepEqual(steps(f.out("a", packet(f.eth("a", undefined, 0x88cc), payload(40)))), [
      "a:out drop not-ip",
    ]);
    assert.deepEqual(steps(f.out("a", packet(f.eth("a", "02:00:00:00:00:99"), arp()))), [
      "a:out drop spoofed",
    ]);
  });

  it("that cannot be read are dropped, under the parser's reason", () => {
    const whole = packet(f.eth("a"), ipv4({ source: "10.1.0.1", destination: "10.1.0.2" }), tcp());
    /* The kernel runs no test on less than an IP header. */
    for (const length of [34, 40, whole.length - 1]) {
      assert.deepEqual(
        steps(f.out("a", whole.subarray(0, length))),
        ["a:out drop truncated"],
        `${length}`,
      );
    }
    const v6 = packet(f.eth("a"), ipv6({ source: "fd00::1", destination: "fd00::2" }), tcp());
    assert.deepEqual(steps(f.out("a", v6.subarray(0, 60))), ["a:out drop truncated"]);
  });

  it("that carry a VLAN tag are dropped", () => {
    const met = f.out(
      "a",
      packet(f.eth("a"), vlan(), ipv4({ source: "10.1.0.1", destination: "10.1.0.2" }), tcp()),
    );
    assert.deepEqual(steps(met), ["a:out drop vlan-depth"]);
  });
});

describe("what IPv6 needs on the link", () => {
  before(() => f.pods.apply([{ rule: "nothing", action: "Drop", egressOf: ["a"] }]));
  const control = (type: number, source: string, destination: string) =>
    steps(
      f.out(
        "a",
        packet(
          f.eth("a"),
          ipv6({ source, destination, hopLimit: 255 }),
          icmpv6({ type }),
          payload(20),
        ),
      ),
    );

  it("passes before policy: solicitations, neighbour advertisements, group reports", () => {
    for (const type of [131, 132, 133, 135, 136, 143]) {
      assert.deepEqual(control(type, "fe80::a", "ff02::1"), ["a:out pass not-judged"], `${type}`);
    }
    assert.deepEqual(control(135, "::", "ff02::1:ff00:1"), ["a:out pass not-judged"]);
    assert.deepEqual(control(135, "fd00::1", "fe80::1"), ["a:out pass not-judged"]);
  });

  it("does not cover router advertisements, redirects, errors and echoes", () => {
    for (const type of [1, 128, 134, 137]) {
      assert.deepEqual(control(type, "fe80::a", "ff02::1"), ["a:out drop spoofed"], `${type}`);
      assert.deepEqual(control(type, "fd00::1", "ff02::1"), ["a:out drop rule"], `${type}`);
    }
  });

  it("does not cover what leaves the link, nor another's address", () => {
    assert.deepEqual(control(135, "fd00::1", "fd00::2"), ["a:out drop rule"]);
    assert.deepEqual(control(135, "fd00::1", "ff05::2"), ["a:out drop rule"]);
    assert.deepEqual(control(136, "fd00::2", "fe80::1"), ["a:out drop spoofed"]);
  });
});

describe("delivery to a local pod", () => {
  before(() => f.pods.apply(isolateB));

  for (const family of [4, 6] as const) {
    it(`IPv${family}: allowed by the rule, redirected, one hop less, as from the gateway`, () => {
      const met = f.out("a", f.packetOf("a", "b", family, tcp()));
      assert.equal(met.action, "redirect");
      assert.deepEqual(steps(met), ["a:out pass no-rule", "b:in pass rule"]);
      assert.deepEqual(met.rules, ["web"]);
      const { source, destination, hops } = {
        source: f.gateway,
        destination: f.mac("b"),
        hops: 63,
      };
      const layer = family === 4 ? ipv4 : ipv6;
      const [from, to] = [f.address("a", family), f.address("b", family)];
      const expected = packet(
        eth({ source, destination }),
        layer({ source: from, destination: to, ttl: hops, hopLimit: hops }),
        tcp(),
      );
      assert.deepEqual(met.packet, expected);
    });

    it(`IPv${family}: refused by the receiver's isolation, whatever the sender may`, () => {
      const met = f.out("a", f.packetOf("a", "b", family, tcp({ destinationPort: 81 })));
      assert.equal(met.action, "drop");
      assert.deepEqual(steps(met), ["a:out pass no-rule", "b:in drop rule"]);
      assert.deepEqual(met.rules, ["isolated"]);
      assert.equal(f.out("c", f.packetOf("c", "b", family, tcp())).action, "drop");
    });

    it(`IPv${family}: the last hop is the stack's to answer, and the receiver is not asked`, () => {
      for (const hops of [0, 1]) {
        const met = f.out("a", f.packetOf("a", "b", family, tcp(), { hops }));
        assert.equal(met.action, "stack");
        assert.deepEqual(steps(met), ["a:out pass no-rule"]);
        f.pods.forget();
      }
    });
  }

  it("a frame to another link layer address than the gateway's goes to the stack", () => {
    const frame = f.packetOf("a", "c", 4, tcp());
    frame[5]! ^= 1;
    assert.equal(f.out("a", frame).action, "stack");
  });

  it("IP options go to the stack, and meet the receiver's policy there", () => {
    const header = ipv4({
      source: "10.1.0.1",
      destination: "10.1.0.2",
      options: Buffer.from([148, 4, 0, 0]),
    });
    const frame = packet(f.eth("a"), header, tcp({ destinationPort: 81 }));
    assert.equal(f.out("a", frame).action, "stack");
    assert.deepEqual(steps(f.in("b", frame, "a")), ["b:in drop rule"]);
  });

  it("a pod reaches its own address whatever its policies say", async () => {
    await f.pods.apply([{ rule: "nothing", action: "Drop", egressOf: ["a"], ingressOf: ["a"] }]);
    for (const family of [4, 6] as const) {
      const met = f.out("a", f.packetOf("a", "a", family, tcp()));
      assert.equal(met.action, "redirect");
      assert.deepEqual(steps(met), ["a:out pass not-judged", "a:in pass not-judged"]);
      assert.equal(f.in("a", f.packetOf("a", "a", family, tcp()), "b").action, "stack");
    }
    await f.pods.apply(isolateB);
  });
});

describe("egress", () => {
  it("refused by a rule: the receiver is not asked", async () => {
    await f.pods.apply([
      {
        rule: "dns",
        action: "Accept",
        egressOf: ["a"],
        to: ["10.1.0.2/32"],
        protocols: port("udp", 53),
      },
      { rule: "closed", action: "Drop", egressOf: ["a"] },
    ]);
    const refused = f.out("a", f.packetOf("a", "b", 4, udp({ destinationPort: 54 })));
    assert.deepEqual(steps(refused), ["a:out drop rule"]);
    assert.deepEqual(refused.rules, ["closed"]);
    const allowed = f.out("a", f.packetOf("a", "b", 4, udp()));
    assert.deepEqual(steps(allowed), ["a:out pass rule", "b:in pass no-rule"]);
    assert.deepEqual(allowed.rules, ["dns"]);
  });

  it("an audit rule counts and changes nothing", async () => {
    await f.pods.apply([{ rule: "would-drop", action: "Drop", egressOf: ["a"], audit: true }]);
    const met = f.out("a", f.packetOf("a", "b", 4, udp()));
    assert.equal(met.action, "redirect");
    assert.deepEqual(met.rules, ["would-drop"]);
  });

  it("an address set constrains the destination, in both families", async () => {
    await f.pods.apply([
      { rule: "not-c", action: "Drop", egressOf: ["a"], to: ["10.1.0.3/32", "fd00::3/128"] },
    ]);
    for (const family of [4, 6] as const) {
      assert.equal(f.out("a", f.packetOf("a", "b", family, tcp())).action, "redirect");
      assert.equal(f.out("a", f.packetOf("a", "c", family, tcp())).action, "drop");
    }
    await f.pods.apply([{ rule: "none", action: "Drop", egressOf: ["a"], to: ALL }]);
    assert.equal(
      f.out(
        "a",
        packet(f.eth("a"), ipv4({ source: "10.1.0.1", destination: "224.0.0.251" }), udp()),
      ).action,
      "drop",
    );
  });
});

describe("pod_in", () => {
  before(() => f.pods.apply(isolateB));

  it("lets this node itself reach its pods, without a look at the packet", () => {
    const probe = packet(
      f.eth("a"),
      ipv4({ source: "10.1.0.254", destination: "10.1.0.2" }),
      tcp({ destinationPort: 81 }),
    );
    for (const frame of [probe, packet(f.eth("a"), arp()), probe.subarray(0, 40)]) {
      const met = f.in("b", frame);
      assert.equal(met.action, "stack");
      assert.deepEqual(steps(met), ["b:in pass not-judged"]);
    }
    assert.deepEqual(f.pods.flows(), []);
  });

  it("judges what came in by another interface", () => {
    const from = (source: string, destinationPort: number) =>
      f.in(
        "b",
        packet(f.eth("a"), ipv4({ source, destination: "10.1.0.2" }), tcp({ destinationPort })),
        "uplink",
      );
    assert.deepEqual(steps(from("10.1.0.1", 80)), ["b:in pass rule"]);
    assert.deepEqual(steps(from("198.51.100.1", 80)), ["b:in drop rule"]);
    assert.deepEqual(steps(from("10.1.0.1", 81)), ["b:in drop rule"]);
    assert.deepEqual(steps(f.in("b", packet(f.eth("a"), arp()), "uplink")), ["b:in drop not-ip"]);
    const whole = packet(f.eth("a"), ipv4({ destination: "10.1.0.2" }), tcp());
    assert.deepEqual(steps(f.in("b", whole.subarray(0, 40), "uplink")), ["b:in drop truncated"]);
  });
});

describe("a pod without compiled policy", () => {
  it("is closed both ways, but to its node", () => {
    f.addPod("new");
    const met = f.out("new", f.packetOf("new", "a", 4, udp()));
    assert.deepEqual(steps(met), ["new:out drop not-judged"]);
    assert.deepEqual(steps(f.out("a", f.packetOf("a", "new", 4, udp()))), [
      "a:out pass no-rule",
      "new:in drop not-judged",
    ]);
    assert.equal(f.in("new", f.packetOf("a", "new", 4, udp())).action, "stack");
  });
});

describe("a full node", () => {
  it("tells its last pod from all others", async () => {
    const full = await openFixture();
    try {
      for (let number = 4; number < Limits.MAX_PODS; number++) {
        const [high, low] = [number >> 8, number & 255];
        full.pods.add({
          name: `pod${number}`,
          index: ifIndex(100_000 + number),
          mac: macB,
          ipv4: `10.2.${high}.${low}`,
          ipv6: `fd01::${number}`,
        });
      }
      full.addPod("last");
      assert.equal(full.pods.pod("last").slotIn, Limits.MAX_INTERFACE_SLOTS - 2);
      await full.pods.apply([
        { rule: "out", action: "Drop", egressOf: ["last"], protocols: port("tcp", 81) },
        { rule: "in", action: "Drop", ingressOf: ["last"], protocols: port("tcp", 82) },
      ]);
      const meets = (from: string, to: string, destinationPort: number) =>
        steps(full.out(from, full.packetOf(from, to, 4, tcp({ destinationPort })))).at(-1);
      assert.equal(meets("last", "a", 80), "a:in pass no-rule");
      assert.equal(meets("last", "a", 81), "last:out drop rule");
      assert.equal(meets("a", "last", 82), "last:in drop rule");
      assert.equal(meets("a", "last", 81), "last:in pass no-rule");
    } finally {
      await full.close();
    }
  });
});

describe("fragments", () => {
  before(() =>
    f.pods.apply([
      { rule: "dns", action: "Accept", ingressOf: ["b"], protocols: port("udp", 53) },
      { rule: "isolated", action: "Drop", ingressOf: ["b"] },
    ]),
  );
  const v4 = (id: number, first: boolean, destinationPort = 53) =>
    packet(
      f.eth("a"),
      ipv4({
        source: "10.1.0.1",
        destination: "10.1.0.2",
        id,
        protocol: 17,
        ...(first ? { moreFragments: true } : { fragmentOffset: 16 }),
      }),
      ...(first ? [udp({ destinationPort, length: 24 }), payload(8)] : [payload(8)]),
    );
  const v6 = (id: number, first: boolean) =>
    packet(
      f.eth("a"),
      ipv6({ source: "fd00::1", destination: "fd00::2" }),
      fragment({ id, more: first, offset: first ? 0 : 16, nextHeader: 17 }),
      ...(first ? [udp({ length: 24 }), payload(8)] : [payload(8)]),
    );

  it("follow their first at each stage", () => {
    for (const make of [v4, v6]) {
      assert.deepEqual(steps(f.out("a", make(1, true))), ["a:out pass no-rule", "b:in pass rule"]);
      const later = f.out("a", make(1, false));
      assert.deepEqual(steps(later), ["a:out pass no-rule", "b:in pass rule"]);
      assert.deepEqual(later.rules, ["dns"]);
    }
    assert.equal(f.out("a", v4(2, true, 54)).action, "drop");
    assert.equal(f.out("a", v4(2, false)).action, "drop");
  });

  it("whose first is unknown have no ports to be allowed by", () => {
    assert.deepEqual(steps(f.out("a", v4(3, false))), ["a:out pass no-rule", "b:in drop rule"]);
  });
});

describe("protocols without ports", () => {
  it("are told apart by number, and isolation covers them", async () => {
    await f.pods.apply([
      { rule: "ping", action: "Accept", ingressOf: ["b"], protocols: [{ kind: "icmp", type: 8 }] },
      { rule: "isolated", action: "Drop", ingressOf: ["b"] },
    ]);
    assert.equal(f.out("a", f.packetOf("a", "b", 4, icmp({ type: 8 }))).action, "redirect");
    assert.equal(f.out("a", f.packetOf("a", "b", 4, icmp({ type: 13 }))).action, "drop");
    const gre = packet(
      f.eth("a"),
      ipv4({ source: "10.1.0.1", destination: "10.1.0.2", protocol: 47 }),
      payload(20),
    );
    assert.equal(f.out("a", gre).action, "drop");
  });
});
