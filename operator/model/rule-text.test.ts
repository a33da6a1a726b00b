import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCidr } from "./cidr.js";
import type { RuleRecord } from "./records.js";
import { describeAction, describeMatch } from "./rule-text.js";

const anything = { from: [], to: [], protocols: [], traits: [] };
const cidr = (text: string, ...except: readonly string[]) =>
  ({ kind: "cidr", cidr: parseCidr(text), except: except.map((block) => parseCidr(block)) }) as const;

const matches: readonly (readonly [
  Partial<Pick<RuleRecord, "from" | "to" | "protocols" | "traits">>,
  string,
])[] = [
  [{}, ""],
  [
    { from: [cidr("10.0.0.0/8", "10.1.0.0/16"), { kind: "cidrSet", setName: "spamhaus" }] },
    "from 10.0.0.0/8 except 10.1.0.0/16, set spamhaus",
  ],
  [{ from: [cidr("192.0.2.7/32"), cidr("2001:db8::1/128")] }, "from 192.0.2.7, 2001:db8::1"],
  [
    { from: ["1", "2", "3", "4", "5"].map((host) => cidr(`192.0.2.${host}`)) },
    "from 192.0.2.1, 192.0.2.2, 192.0.2.3 and 2 more",
  ],
  [{ to: [{ kind: "nodes", selector: {} }] }, "to nodes all"],
  [
    {
      from: [
        {
          kind: "nodes",
          selector: {
            matchLabels: { role: "edge" },
            matchExpressions: [
              { key: "zone", operator: "NotIn", values: ["a", "b"] },
              { key: "gpu", operator: "DoesNotExist" },
            ],
          },
        },
      ],
    },
    "from nodes role=edge,zone notin (a,b),!gpu",
  ],
  [
    {
      protocols: [
        {
          kind: "tcp",
          destinationPort: { start: 1, end: 1024 },
          sourcePort: { start: 53, end: 53 },
          flags: { set: ["SYN"], unset: ["ACK", "RST"] },
        },
        { kind: "icmp", type: 8, code: 0 },
        { kind: "protocol", number: 47 },
      ],
      traits: ["Fragment"],
    },
    "tcp from port 53 port 1-1024 SYN not ACK+RST, icmp type 8 code 0, protocol 47; trait Fragment",
  ],
];

for (const [rule, text] of matches) {
  test(`a rule's conditions read "${text}"`, () => {
    assert.equal(describeMatch({ ...anything, ...rule }), text);
  });
}

test("an action says its parameters", () => {
  const rateLimit = {
    unit: "packets",
    rate: 1000,
    burst: 100,
    per: "SourcePrefix",
    ipv4PrefixLength: 24,
    ipv6PrefixLength: 64,
  } as const;
  assert.equal(
    describeAction({ action: { kind: "Limit", rateLimit } }),
    "Limit 1000 packets/s per source /24 or IPv6 /64, burst 100",
  );
  const target = { kind: "cpus", cpus: [2, 3] } as const;
  assert.equal(describeAction({ action: { kind: "Redirect", target } }), "Redirect to CPU 2,3");
  assert.equal(describeAction({ action: { kind: "Drop" } }), "Drop");
});
