/** Ports of the node that are pods', by test run: bytes in, bytes out (docs/pods.md). */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { HostPorts } from "../../operator/apply/host-ports.js";
import { parseCidr } from "../../operator/model/cidr.js";
import {
  eth,
  fragment,
  ipBytes,
  ipv4,
  ipv6,
  type Layer,
  packet,
  payload,
} from "../support/packets.js";
import { icmp, icmpv6, sctp, tcp, type TcpFlag, udp } from "../support/transports.js";
import { openFixture } from "./fixture.js";
import type { Met, PodRule } from "./harness.js";

const f = await openFixture();
after(() => f.close());
beforeEach(() => {
  f.pods.forget();
  const { translatedFragments } = f.pods.datapath;
  translatedFragments.deleteAll([...translatedFragments.keys()]);
});

const ROUTER = "02:00:00:00:00:fe";
const NODE = { 4: "192.0.2.10", 6: "2001:db8::10" } as const;
const OTHER = { 4: "192.0.2.11", 6: "2001:db8::11" } as const;
const CLIENT = { 4: "198.51.100.7", 6: "2001:db8:1::7" } as const;
const ROUTERS = { 4: "203.0.113.1", 6: "2001:db8:2::1" } as const;

/** a serves TCP and SCTP port 80 and UDP port 53 to everybody, c to nobody. */
const rules: readonly PodRule[] = [
  {
    rule: "served",
    action: "Accept",
    ingressOf: ["a"],
    protocols: [{ kind: "tcp", destinationPort: { start: 80, end: 80 } }],
  },
  {
    rule: "names",
    action: "Accept",
    ingressOf: ["a"],
    protocols: [{ kind: "udp", destinationPort: { start: 53, end: 53 } }],
  },
  {
    rule: "streams",
    action: "Accept",
    ingressOf: ["a"],
    protocols: [{ kind: "sctp", destinationPort: { start: 80, end: 80 } }],
  },
  { rule: "isolated", action: "Drop", ingressOf: ["a", "c"], egressOf: ["a", "c"] },
];

const steps = ({ steps: found }: Met) =>
  found.map(({ at, verdict, reason }) => `${at} ${verdict} ${reason}`);
const outcome = (met: Met) => [met.action, ...steps(met)];

interface Head {
  readonly hops?: number;
  readonly offset?: number;
  readonly more?: boolean;
  readonly protocol?: number;
}

/** The IP header; of a fragment, with its fragment header. */
function head(source: string, destination: string, fields: Head = {}): Layer[] {
  const { hops = 64, offset, more = false, protocol } = fields;
  const isFragment = offset !== undefined;
  if (!source.includes(":")) {
    const of = { fragmentOffset: offset ?? 0, moreFragments: more, id: 7 };
    return [
      ipv4({
        source,
        destination,
        ttl: hops,
        ...(isFragment && of),
        ...(protocol !== undefined && { protocol }),
      }),
    ];
  }
  return [
    ipv6({ source, destination, hopLimit: hops }),
    ...(isFragment
      ? [fragment({ offset, more, id: 7, ...(protocol !== undefined && { nextHeader: protocol }) })]
      : []),
  ];
}

const toNode = (...layers: readonly Layer[]) =>
  packet(eth({ source: ROUTER, destination: f.gateway }), ...layers);
const toPod = (pod: string, ...layers: readonly Layer[]) =>
  packet(eth({ source: f.gateway, destination: f.mac(pod) }), ...layers);
const ofPod = (pod: string, ...layers: readonly Layer[]) => packet(f.eth(pod), ...layers);
const ports = (sourcePort: number, destinationPort: number) => ({ sourcePort, destinationPort });
const asTcp = (from: number, to: number, ...flags: readonly TcpFlag[]) =>
  tcp({ ...ports(from, to), flags: flags.length === 0 ? ["SYN"] : flags });

for (const family of [4, 6] as const) {
  const [node, client, router] = [NODE[family], CLIENT[family], ROUTERS[family]];
  const a = f.address("a", family);
  const b = f.address("b", family);
  const error = family === 4 ? icmp({ type: 3, code: 3 }) : icmpv6({ type: 1, code: 4 });

  describe(`a port of the node, IPv${family}`, () => {
    before(async () => {
      await f.pods.apply(rules);
      const table = new HostPorts(f.pods.datapath);
      const own = [...Object.values(NODE), ...Object.values(OTHER)].map((text) => parseCidr(text));
      const anywhere = { hostIp: undefined };
      table.set(own, [
        {
          ipv4: f.address("a", 4),
          ipv6: f.address("a", 6),
          ports: [
            { hostPort: 8080, containerPort: 80, protocol: "tcp", ...anywhere },
            { hostPort: 5353, containerPort: 53, protocol: "udp", ...anywhere },
            { hostPort: 8080, containerPort: 80, protocol: "sctp", ...anywhere },
          ],
        },
        {
          ipv4: f.address("c", 4),
          ipv6: f.address("c", 6),
          ports: [
            { hostPort: 8081, containerPort: 80, protocol: "tcp", ...anywhere },
            { hostPort: 8082, containerPort: 80, protocol: "tcp", hostIp: OTHER[4] },
          ],
        },
      ]);
    });

    for (const [name, there, back, port, own] of [
      ["TCP", asTcp, (from: number, to: number) => asTcp(from, to, "SYN", "ACK"), 8080, 80],
      ["UDP", (x: number, y: number) => udp(ports(x, y)), undefined, 5353, 53],
      ["SCTP", (x: number, y: number) => sctp(ports(x, y)), undefined, 8080, 80],
    ] as const) {
      it(`${name}: goes to the pod's port, and answers come from the node's`, () => {
        const text = payload(`over ${name}, of some odd length`);
        const met = f.arrive(toNode(...head(client, node), there(40000, port), text));
        assert.deepEqual(outcome(met), ["redirect", "a:in pass rule"]);
        assert.deepEqual(met.packet, toPod("a", ...head(client, a), there(40000, own), text));
        const answer = back ?? there;
        const met2 = f.out("a", ofPod("a", ...head(a, client), answer(own, 40000), text));
        assert.deepEqual(outcome(met2), ["stack", "a:out pass flow"]);
        const expected = ofPod("a", ...head(node, client), answer(port, 40000), text);
        assert.deepEqual(met2.packet, expected);
        const next = f.arrive(toNode(...head(client, node), there(40000, port), text));
        assert.deepEqual(steps(next), ["a:in pass flow"]);
      });
    }

    it("is judged by the pod's own port, and by who sent it", () => {
      const met = f.arrive(toNode(...head(client, node), asTcp(40000, 8081)));
      assert.deepEqual(outcome(met), ["drop", "c:in drop rule"]);
    });

    it("is no pod's by another protocol, port or address", () => {
      for (const other of [
        toNode(...head(client, node), udp(ports(40000, 8080))),
        toNode(...head(client, node), asTcp(40000, 80)),
        toNode(...head(client, node), asTcp(40000, 8082)),
        toNode(...head(client, node), family === 4 ? icmp() : icmpv6()),
      ]) {
        const met = f.arrive(other);
        assert.deepEqual(outcome(met), ["stack"]);
        assert.deepEqual(met.packet, other);
      }
      if (family === 6) return;
      const met = f.arrive(toNode(...head(client, OTHER[4]), asTcp(40000, 8082)));
      assert.deepEqual(steps(met), ["c:in drop rule"]);
    });

    it("takes the last hop of a packet: the node is its destination", () => {
      const met = f.arrive(toNode(...head(client, node, { hops: 1 }), asTcp(40000, 8080)));
      assert.deepEqual(met.packet, toPod("a", ...head(client, a, { hops: 1 }), asTcp(40000, 80)));
    });

    it("UDP without a checksum stays without", () => {
      const query = (port: number) => udp({ ...ports(40000, port), checksum: 0 });
      const met = f.arrive(toNode(...head(client, node), query(5353), payload(9)));
      assert.deepEqual(met.packet, toPod("a", ...head(client, a), query(53), payload(9)));
    });

    it("the pod's error about a packet quotes what the client has sent", () => {
      const query = (port: number) => udp(ports(40000, port));
      f.arrive(toNode(...head(client, node), query(5353), payload(12)));
      const quoted = [...head(client, a), query(53), payload(12)];
      const met = f.out("a", ofPod("a", ...head(a, client), error, ...quoted));
      assert.deepEqual(outcome(met), ["stack", "a:out pass flow"]);
      const expected = [...head(client, node), query(5353), payload(12)];
      assert.deepEqual(met.packet, ofPod("a", ...head(node, client), error, ...expected));
    });

    for (const [name, there, answer] of [
      ["TCP", () => asTcp(40000, 8080), (port: number) => asTcp(port, 40000, "ACK")],
      ["UDP", () => udp(ports(40000, 5353)), (port: number) => udp(ports(port, 40000))],
    ] as const) {
      const [port, own] = name === "TCP" ? [8080, 80] : [5353, 53];
      it(`a router's error about an answer by ${name} quotes what the pod has sent`, () => {
        f.arrive(toNode(...head(client, node), there()));
        f.out("a", ofPod("a", ...head(a, client), answer(own)));
        const about = (address: string, number: number) =>
          [...head(address, client), answer(number), payload(12)] as const;
        const met = f.arrive(toNode(...head(router, node), error, ...about(node, port)));
        assert.deepEqual(outcome(met), ["redirect", "a:in pass flow"]);
        const layers = [...head(router, a, { hops: 63 }), error, ...about(a, own)];
        assert.deepEqual(met.packet, toPod("a", ...layers));
      });
    }

    it("fragments follow their first one, both ways", () => {
      const first = (port: number) => udp({ ...ports(40000, port), length: 32 });
      const start = { offset: 0, more: true };
      const rest = { offset: 24, protocol: 17 };
      const met = [
        f.arrive(toNode(...head(client, node, start), first(5353), payload(16))),
        f.arrive(toNode(...head(client, node, rest), payload(8))),
      ];
      assert.deepEqual(met.map(outcome), [
        ["redirect", "a:in pass rule"],
        ["redirect", "a:in pass rule"],
      ]);
      assert.deepEqual(addressesOf(met[0]!.packet), [client, a]);
      assert.deepEqual(met[1]!.packet, toPod("a", ...head(client, a, rest), payload(8)));
      const answer = udp({ ...ports(53, 40000), length: 32 });
      const answers = [
        f.out("a", ofPod("a", ...head(a, client, start), answer, payload(16))),
        f.out("a", ofPod("a", ...head(a, client, rest), payload(8))),
      ];
      assert.deepEqual(answers.map(outcome), [
        ["stack", "a:out pass flow"],
        ["stack", "a:out pass flow"],
      ]);
      assert.deepEqual(addressesOf(answers[0]!.packet), [node, client]);
      assert.equal(answers[0]!.packet.readUInt16BE(family === 4 ? 34 : 62), 5353);
      assert.deepEqual(answers[1]!.packet, ofPod("a", ...head(node, client, rest), payload(8)));
    });

    it("serves local pods, too", () => {
      const met = f.out("b", ofPod("b", ...head(b, node), asTcp(40000, 8080)));
      assert.deepEqual(outcome(met), ["redirect", "b:out pass no-rule", "a:in pass rule"]);
      assert.deepEqual(met.packet, toPod("a", ...head(b, a), asTcp(40000, 80)));
      const met2 = f.out("a", ofPod("a", ...head(a, b), asTcp(80, 40000, "SYN", "ACK")));
      assert.deepEqual(outcome(met2), ["redirect", "a:out pass flow", "b:in pass flow"]);
      const answer = asTcp(8080, 40000, "SYN", "ACK");
      assert.deepEqual(met2.packet, toPod("b", ...head(node, b, { hops: 63 }), answer));
    });

    it("serves the pod itself, which sees the node", () => {
      const met = f.out("a", ofPod("a", ...head(a, node), asTcp(40000, 8080)));
      assert.deepEqual(outcome(met), ["redirect", "a:out pass not-judged", "a:in pass not-judged"]);
      assert.deepEqual(met.packet, toPod("a", ...head(node, a), asTcp(40000, 80)));
      for (const flags of [["SYN", "ACK"], ["ACK"]] as const) {
        const met2 = f.out("a", ofPod("a", ...head(a, node), asTcp(80, 40000, ...flags)));
        assert.equal(met2.action, "redirect");
        const answer = asTcp(8080, 40000, ...flags);
        assert.deepEqual(met2.packet, toPod("a", ...head(node, a, { hops: 63 }), answer));
      }
    });

    it("a change of the rules is asked about the translated packet", async () => {
      f.arrive(toNode(...head(client, node), asTcp(40000, 8080)));
      await f.pods.apply([{ rule: "new", action: "Accept", ingressOf: ["a"] }, ...rules]);
      const met = f.out("a", ofPod("a", ...head(a, client), asTcp(80, 40000, "ACK")));
      assert.deepEqual(outcome(met), ["stack", "a:out pass rule"]);
      assert.deepEqual(addressesOf(met.packet), [node, client]);
      await f.pods.apply(rules);
      const met2 = f.arrive(toNode(...head(client, node), asTcp(40000, 8080, "ACK")));
      assert.deepEqual(outcome(met2), ["redirect", "a:in pass rule"]);
    });

    it("two flows of one client port that become the same: the first goes on", () => {
      f.arrive(toNode(...head(client, node), asTcp(40000, 8080)));
      const direct = toNode(...head(client, a), asTcp(40000, 80));
      assert.deepEqual(outcome(f.arrive(direct)), ["drop", "a:in drop translation"]);
      const other = toNode(...head(client, OTHER[family]), asTcp(40000, 8080));
      assert.deepEqual(outcome(f.arrive(other)), ["drop", "a:in drop translation"]);
      const same = toNode(...head(client, node), asTcp(40000, 8080, "ACK"));
      assert.deepEqual(outcome(f.arrive(same)), ["redirect", "a:in pass flow"]);
    });
  });

  function addressesOf(frame: Buffer): readonly string[] {
    const bytes = family === 4 ? 4 : 16;
    const at = family === 4 ? 26 : 22;
    return [at, at + bytes].map((offset) => {
      const address = frame.subarray(offset, offset + bytes);
      const found = [node, client, a, b].find((text) => Buffer.from(ipBytes(text)).equals(address));
      return found ?? address.toString("hex");
    });
  }
}

describe("a port that is a pod's is not taken from the node", () => {
  it("TCP without a SYN and without a flow goes on to the pod, as no socket of the node has it", () => {
    const stray = toNode(...head(CLIENT[4], NODE[4]), asTcp(40001, 8080, "ACK"));
    assert.deepEqual(outcome(f.arrive(stray)), ["redirect", "a:in pass rule"]);
  });
});
