/** The table of flows by test run: who may answer, for how long, and what a change of the rules does (docs/pods.md). */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { FlowFlags, Limits } from "../../datapath/generated/layout.js";
import { ipv4, ipv6, type Layer, packet, payload } from "../support/packets.js";
import { icmp, icmpv6, tcp, type TcpFlag, udp } from "../support/transports.js";
import { openFixture } from "./fixture.js";
import type { Met, PodRule } from "./harness.js";

const f = await openFixture();
after(() => f.close());
beforeEach(() => f.pods.forget());

const port = (kind: "tcp" | "udp", number: number) => [
  { kind, destinationPort: { start: number, end: number } },
];

/** a may talk to b's port 80 and ping it, and nobody may do anything else. */
const closed: readonly PodRule[] = [
  { rule: "a to web", action: "Accept", egressOf: ["a"], protocols: port("tcp", 80) },
  { rule: "a to dns", action: "Accept", egressOf: ["a"], protocols: port("udp", 53) },
  { rule: "b takes web", action: "Accept", ingressOf: ["b"], protocols: port("tcp", 80) },
  { rule: "b takes dns", action: "Accept", ingressOf: ["b"], protocols: port("udp", 53) },
  {
    rule: "ping",
    action: "Accept",
    egressOf: ["a"],
    ingressOf: ["b"],
    protocols: [
      { kind: "icmp", type: 8 },
      { kind: "icmpv6", type: 128 },
    ],
  },
  { rule: "nothing else", action: "Drop", egressOf: ["a", "b"], ingressOf: ["a", "b"] },
];

const steps = ({ steps: found }: Met) =>
  found.map(({ at, verdict, reason }) => `${at} ${verdict} ${reason}`);
const allowed = ["a:out pass rule", "b:in pass rule"];
const onwards = ["a:out pass flow", "b:in pass flow"];
const reply = ["b:out pass flow", "a:in pass flow"];

const there = (transport: Layer, family: 4 | 6 = 4) =>
  f.out("a", f.packetOf("a", "b", family, transport));
const back = (transport: Layer, family: 4 | 6 = 4) =>
  f.out("b", f.packetOf("b", "a", family, transport));
const request = (...flags: readonly TcpFlag[]) => tcp({ flags });
const answer = (...flags: readonly TcpFlag[]) =>
  tcp({ sourcePort: 80, destinationPort: 40000, flags });
const query = () => udp();
const response = () => udp({ sourcePort: 53, destinationPort: 40000 });

describe("a flow", () => {
  before(() => f.pods.apply(closed));

  for (const family of [4, 6] as const) {
    it(`IPv${family}: once allowed, its packets and their answers pass without a look at the rules`, () => {
      assert.deepEqual(steps(there(request("SYN"), family)), allowed);
      assert.deepEqual(steps(back(answer("SYN", "ACK"), family)), reply);
      const next = there(request("ACK"), family);
      assert.deepEqual(steps(next), onwards);
      assert.deepEqual(next.rules, ["a to web", "b takes web"], "its rules go on counting");
      assert.deepEqual(back(answer("ACK"), family).rules, [], "an answer is no rule's");
    });

    it(`IPv${family}: nobody else's packets pass by it`, () => {
      there(request("SYN"), family);
      const other = tcp({ sourcePort: 80, destinationPort: 40001, flags: ["ACK"] });
      assert.deepEqual(steps(back(other, family)), ["b:out drop rule"]);
      const odd = tcp({ sourcePort: 81, destinationPort: 40000, flags: ["ACK"] });
      assert.deepEqual(steps(back(odd, family)), ["b:out drop rule"]);
      assert.deepEqual(steps(there(udp({ destinationPort: 80 }), family)), ["a:out drop rule"]);
    });
  }

  it("that was never opened has no answers", () => {
    assert.deepEqual(steps(back(answer("SYN", "ACK"))), ["b:out drop rule"]);
    assert.deepEqual(f.pods.flows(), []);
  });

  it("is counted once for both pods, each way", () => {
    const sizes = [there(request("SYN")), there(request("ACK"))].map(
      ({ packet: { length } }) => length,
    );
    const { length } = back(answer("SYN", "ACK")).packet;
    const flow = f.pods.flow({ localPort: 40000 });
    assert.equal(f.pods.flows().length, 1);
    assert.deepEqual(
      [flow?.packetsForth, flow?.bytesForth, flow?.packetsBack, flow?.bytesBack],
      [2n, BigInt(sizes[0]! + sizes[1]!), 1n, BigInt(length)],
    );
    const { number } = f.pods.firewall.generation;
    const slotOf = (rule: string) => f.pods.slots.find({ policy: "test", rule });
    assert.deepEqual(flow?.out, { generation: number, slot: slotOf("a to web") });
    assert.deepEqual(flow?.in, { generation: number, slot: slotOf("b takes web") });
  });

  it("whose receiver refused leaves the receiver no way to answer", async () => {
    const toB81 = tcp({ destinationPort: 81 });
    await f.pods.apply([
      { rule: "b isolated", action: "Drop", ingressOf: ["b"] },
      { rule: "b silent", action: "Drop", egressOf: ["b"] },
    ]);
    assert.deepEqual(steps(there(toB81)), ["a:out pass no-rule", "b:in drop rule"]);
    assert.deepEqual(steps(back(tcp({ sourcePort: 81, destinationPort: 40000, flags: ["ACK"] }))), [
      "b:out drop rule",
    ]);
    await f.pods.apply(closed);
  });

  it("with a pod elsewhere: only this node's pod is asked, also by what comes through the stack", () => {
    const away = (transport: Layer) =>
      packet(f.eth("a"), ipv4({ source: "10.1.0.1", destination: "10.2.0.9" }), transport);
    const fromAway = (destination: string, transport: Layer) =>
      packet(f.eth("a"), ipv4({ source: "10.2.0.9", destination }), transport);
    assert.deepEqual(steps(f.out("a", away(request("SYN")))), ["a:out pass rule"]);
    assert.deepEqual(steps(f.in("a", fromAway("10.1.0.1", answer("SYN", "ACK")), "uplink")), [
      "a:in pass flow",
    ]);
    assert.deepEqual(steps(f.in("b", fromAway("10.1.0.2", request("SYN")), "uplink")), [
      "b:in pass rule",
    ]);
    const toAway = packet(
      f.eth("b"),
      ipv4({ source: "10.1.0.2", destination: "10.2.0.9" }),
      answer("SYN", "ACK"),
    );
    assert.deepEqual(steps(f.out("b", toAway)), ["b:out pass flow"]);
    assert.deepEqual(
      steps(f.in("b", fromAway("10.1.0.2", tcp({ destinationPort: 81 })), "uplink")),
      ["b:in drop rule"],
    );
  });

  it("that the sender's node let through is judged by the receiver all the same", () => {
    const hop = f.packetOf("a", "b", 4, tcp(), { hops: 1 });
    assert.deepEqual(steps(f.out("a", hop)), ["a:out pass rule"]);
    assert.deepEqual(steps(f.in("b", hop, "a")), ["b:in pass rule"]);
    assert.deepEqual(steps(f.in("b", hop, "a")), ["b:in pass flow"]);
  });
});

describe("TCP", () => {
  before(() => f.pods.apply(closed));
  const lifetime = () => f.pods.flow({ protocol: 6 })?.lifetimeS;

  it("lives short until it is answered, and after its end", () => {
    there(request("SYN"));
    assert.equal(lifetime(), Limits.FLOW_TCP_OPENING_SECONDS);
    back(answer("SYN", "ACK"));
    assert.equal(lifetime(), Limits.FLOW_TCP_SECONDS);
    there(request("FIN", "ACK"));
    assert.equal(lifetime(), Limits.FLOW_TCP_SECONDS, "half closed");
    back(answer("FIN", "ACK"));
    assert.equal(lifetime(), Limits.FLOW_TCP_CLOSED_SECONDS);
    assert.deepEqual(steps(there(request("ACK"))), onwards, "the last acknowledgement");
  });

  it("ends at a reset of either side", () => {
    there(request("SYN"));
    assert.deepEqual(steps(back(answer("RST", "ACK"))), reply);
    assert.equal(lifetime(), Limits.FLOW_TCP_CLOSED_SECONDS);
    assert.equal(
      f.pods.flow({ protocol: 6 })?.flags,
      FlowFlags.FLOW_REPLIED | FlowFlags.FLOW_RESET,
    );
  });

  it("a new connection from the same port is judged anew", () => {
    there(request("SYN"));
    back(answer("RST", "ACK"));
    assert.deepEqual(steps(there(request("SYN"))), allowed);
    assert.equal(lifetime(), Limits.FLOW_TCP_OPENING_SECONDS);
  });

  it("a connection that the other side opens is no answer", () => {
    there(request("SYN"));
    back(answer("SYN", "ACK"));
    assert.deepEqual(steps(back(answer("SYN"))), ["b:out drop rule"]);
  });

  it("a reset without a flow is judged, and opens none", () => {
    assert.deepEqual(steps(there(request("RST"))), allowed);
    assert.deepEqual(f.pods.flows(), []);
  });

  it("goes on when a full table has forgotten it, where the rules allow it", () => {
    there(request("SYN"));
    back(answer("SYN", "ACK"));
    f.pods.forget();
    assert.deepEqual(steps(there(request("ACK"))), allowed);
    assert.deepEqual(steps(back(answer("ACK"))), reply);
  });
});

describe("a quiet flow", () => {
  before(() => f.pods.apply(closed));

  it("is over after its time, for both sides", () => {
    there(query());
    f.pods.age(Limits.FLOW_UDP_SECONDS - 5);
    assert.deepEqual(steps(back(response())), reply);
    f.pods.age(Limits.FLOW_UDP_REPLIED_SECONDS - 5);
    assert.deepEqual(steps(there(query())), onwards);
    f.pods.age(Limits.FLOW_UDP_REPLIED_SECONDS + 1);
    assert.deepEqual(steps(back(response())), ["b:out drop rule"]);
    const before = f.pods.flow({ protocol: 17 })!;
    assert.deepEqual(steps(there(query())), allowed);
    const now = f.pods.flow({ protocol: 17 })!;
    assert.ok(now.createdNs > before.createdNs);
    assert.equal(now.packetsForth, 1n);
  });

  it("without an answer is over sooner", () => {
    there(query());
    f.pods.age(Limits.FLOW_UDP_SECONDS + 1);
    assert.deepEqual(steps(back(response())), ["b:out drop rule"]);
  });
});

describe("a change of the rules", () => {
  beforeEach(() => f.pods.apply(closed));
  const without = (rule: string) => closed.filter((one) => one.rule !== rule);
  const open = () => {
    there(request("SYN"));
    back(answer("SYN", "ACK"));
  };

  it("that still allows a flow: it is asked once, in its own direction, and goes on", async () => {
    open();
    await f.pods.apply([...without("ping")]);
    assert.deepEqual(steps(back(answer("ACK"))), ["b:out pass rule", "a:in pass rule"]);
    assert.deepEqual(steps(back(answer("ACK"))), reply);
    assert.deepEqual(steps(there(request("ACK"))), onwards);
    const flow = f.pods.flow({ protocol: 6 });
    assert.deepEqual([flow?.packetsForth, flow?.packetsBack], [2n, 3n]);
  });

  it("that refuses the sender cuts the flow at its next packet", async () => {
    open();
    await f.pods.apply(without("a to web"));
    assert.deepEqual(steps(there(request("ACK"))), ["a:out drop rule"]);
    assert.deepEqual(f.pods.flows(), []);
    assert.deepEqual(steps(back(answer("ACK"))), ["b:out drop rule"]);
  });

  it("that refuses the receiver cuts the flow at its next answer", async () => {
    open();
    await f.pods.apply(without("b takes web"));
    const cut = back(answer("ACK"));
    assert.deepEqual(steps(cut), ["b:out drop rule"]);
    assert.deepEqual(cut.rules, ["nothing else"]);
    assert.deepEqual(f.pods.flows(), []);
  });

  it("that refuses the sender cuts the answers on their way in", async () => {
    open();
    await f.pods.apply(without("a to web"));
    assert.deepEqual(steps(back(answer("ACK"))), ["b:out pass rule", "a:in drop rule"]);
    assert.deepEqual(f.pods.flows(), []);
  });

  it("that only takes an address out of a set cuts the flow once flows are judged again", async () => {
    const fromSet = (addresses: readonly string[]): readonly PodRule[] => [
      {
        rule: "b takes the set",
        action: "Accept",
        ingressOf: ["b"],
        from: addresses,
        set: "peers",
      },
      { rule: "b isolated", action: "Drop", ingressOf: ["b"] },
    ];
    await f.pods.apply(fromSet(["10.1.0.1/32", "10.1.0.3/32"]));
    open();
    const { number } = f.pods.firewall.generation;
    await f.pods.apply(fromSet(["10.1.0.3/32"]));
    assert.equal(f.pods.firewall.generation.number, number, "a set changes in place");
    assert.deepEqual(steps(there(request("ACK"))), onwards);
    f.pods.firewall.judgeFlowsAgain();
    assert.deepEqual(steps(there(request("ACK"))), ["a:out pass no-rule", "b:in drop rule"]);
  });

  it("asks an echo reply as the request that it answers", async () => {
    there(icmp({ type: 8, rest: 0x70001 }));
    await f.pods.apply(without("a to dns"));
    assert.deepEqual(steps(back(icmp({ type: 0, rest: 0x70001 }))), [
      "b:out pass rule",
      "a:in pass rule",
    ]);
    await f.pods.apply(without("ping"));
    assert.deepEqual(steps(back(icmp({ type: 0, rest: 0x70001 }))), ["b:out drop rule"]);
  });
});

describe("echo", () => {
  before(() => f.pods.apply(closed));

  it("replies answer requests of the same identifier, and requests are no replies", () => {
    for (const [family, ask, tell] of [
      [
        4,
        (id: number) => icmp({ type: 8, rest: id * 65536 }),
        (id: number) => icmp({ type: 0, rest: id * 65536 }),
      ],
      [
        6,
        (id: number) => icmpv6({ type: 128, rest: id * 65536 }),
        (id: number) => icmpv6({ type: 129, rest: id * 65536 }),
      ],
    ] as const) {
      assert.deepEqual(steps(there(ask(7), family)), allowed);
      assert.deepEqual(steps(back(tell(7), family)), reply);
      assert.deepEqual(steps(back(tell(8), family)), ["b:out drop rule"]);
      assert.deepEqual(steps(back(ask(7), family)), ["b:out drop rule"]);
      assert.deepEqual(steps(there(tell(7), family)), ["a:out drop rule"]);
    }
    assert.equal(f.pods.flow({ protocol: 1 })?.lifetimeS, Limits.FLOW_ICMP_SECONDS);
  });
});

describe("an ICMP error", () => {
  beforeEach(() => f.pods.apply(closed));

  const quoted = (from: string, to: string, family: 4 | 6, transport: Layer) =>
    f.packetOf(from, to, family, transport).subarray(14);
  const error = (family: 4 | 6, inner: Uint8Array) =>
    family === 4
      ? [icmp({ type: 3, code: 3 }), payload(inner)]
      : [icmpv6({ type: 1, code: 4 }), payload(inner)];
  const sentBy = (from: string, to: string, family: 4 | 6, inner: Uint8Array) => {
    const [source, destination] = [f.address(from, family), f.address(to, family)];
    const header = family === 4 ? ipv4({ source, destination }) : ipv6({ source, destination });
    return f.out(from, packet(f.eth(from), header, ...error(family, inner)));
  };

  for (const family of [4, 6] as const) {
    it(`IPv${family}: about a packet of a flow passes either way, as part of it`, () => {
      there(query(), family);
      assert.deepEqual(steps(sentBy("b", "a", family, quoted("a", "b", family, query()))), reply);
      back(response(), family);
      assert.deepEqual(
        steps(sentBy("a", "b", family, quoted("b", "a", family, response()))),
        onwards,
      );
      assert.equal(f.pods.flows().length, 1);
      assert.equal(f.pods.flow({ protocol: 17 })?.packetsBack, 1n, "it is no packet of the flow");
    });

    it(`IPv${family}: about anything else is judged by the rules`, () => {
      there(query(), family);
      const unknown = quoted("a", "b", family, udp({ destinationPort: 54 }));
      assert.deepEqual(steps(sentBy("b", "a", family, unknown)), ["b:out drop rule"]);
      /* The packet quoted is c's, who would not be told. */
      there(query(), family);
      assert.deepEqual(steps(sentBy("b", "c", family, quoted("a", "b", family, query()))), [
        "b:out drop rule",
      ]);
      assert.deepEqual(steps(sentBy("b", "a", family, Buffer.alloc(4))), ["b:out drop rule"]);
    });

    it(`IPv${family}: of a router on the way reaches the sender`, () => {
      there(query(), family);
      const [source, destination] =
        family === 4 ? ["198.51.100.1", "10.1.0.1"] : ["2001:db8::99", "fd00::1"];
      const header = family === 4 ? ipv4({ source, destination }) : ipv6({ source, destination });
      const frame = (inner: Uint8Array) => packet(f.eth("b"), header, ...error(family, inner));
      const about = (transport: Layer) =>
        steps(f.in("a", frame(quoted("a", "b", family, transport)), "uplink"));
      assert.deepEqual(about(query()), ["a:in pass flow"]);
      assert.deepEqual(about(udp({ destinationPort: 54 })), ["a:in drop rule"]);
    });
  }

  /* Each change gives new rules, so that every flow is stale. */
  const change = async (leaveOut: readonly string[] = []) => {
    const name = `change ${++changes}`;
    const more: PodRule = { rule: name, action: "Accept", egressOf: ["c"] };
    await f.pods.apply([...closed.filter(({ rule }) => !leaveOut.includes(rule)), more]);
  };
  let changes = 0;

  for (const family of [4, 6] as const) {
    it(`IPv${family}: has the rules asked again after they changed, as of the packet that opened the flow`, async () => {
      there(query(), family);
      back(response(), family);
      const before = f.pods.flow({ protocol: 17 })!;
      await change();
      const about = quoted("a", "b", family, query());
      const first = sentBy("b", "a", family, about);
      assert.deepEqual(steps(first), ["b:out pass rule", "a:in pass rule"]);
      assert.deepEqual(first.rules, ["a to dns", "b takes dns"]);
      assert.deepEqual(steps(sentBy("b", "a", family, about)), reply);
      const answer = quoted("b", "a", family, response());
      await change();
      assert.deepEqual(steps(sentBy("a", "b", family, answer)), allowed);
      assert.deepEqual(steps(sentBy("a", "b", family, answer)), onwards);
      const { packetsForth, packetsBack, lastNs } = f.pods.flow({ protocol: 17 })!;
      assert.deepEqual(
        [packetsForth, packetsBack, lastNs],
        [before.packetsForth, before.packetsBack, before.lastNs],
        "it neither counts nor keeps the flow",
      );
      assert.deepEqual(steps(there(query(), family)), onwards);
    });

    it(`IPv${family}: whose flow the changed rules refuse is dropped, and the flow with it`, async () => {
      there(query(), family);
      await change(["b takes dns"]);
      const about = quoted("a", "b", family, query());
      const refused = sentBy("b", "a", family, about);
      assert.deepEqual(steps(refused), ["b:out drop rule"]);
      assert.deepEqual(refused.rules, ["nothing else"]);
      assert.deepEqual(f.pods.flows(), []);
    });

    it(`IPv${family}: about an echo is judged again as the request`, async () => {
      const ask =
        family === 4 ? icmp({ type: 8, rest: 65536 }) : icmpv6({ type: 128, rest: 65536 });
      there(ask, family);
      await change();
      assert.deepEqual(steps(sentBy("b", "a", family, quoted("a", "b", family, ask))), [
        "b:out pass rule",
        "a:in pass rule",
      ]);
    });
  }

  it("is handed on whole after the rules were asked again", async () => {
    there(query());
    await change();
    const { packet: out, action } = sentBy("b", "a", 4, quoted("a", "b", 4, query()));
    assert.equal(action, "redirect");
    /* Of the gateway, to a, one hop less: type 3, code 3. */
    assert.equal(out.subarray(0, 6).toString("hex"), f.mac("a").replaceAll(":", ""));
    assert.deepEqual([out[22], out[23], out[34], out[35]], [63, 1, 3, 3]);
  });
});
