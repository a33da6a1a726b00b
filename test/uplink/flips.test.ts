/** Changes under traffic: every packet is judged by the old rules and sets or by the new ones, by no mixture. */

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { XdpAction } from "../../datapath/index.js";
import type { Peer, RuleAction, RuleRecord } from "../../operator/model/records.js";
import { cidrListOf, parseCidr } from "../oracle/address.js";
import { policy, rule } from "../oracle/build.js";
import { eth, ipv4, ipv6, packet } from "../support/packets.js";
import { tcp } from "../support/transports.js";
import { openUplink, type Setup } from "./harness.js";
import { type Reader, startReader } from "./reader.js";

const FLIPS = 200;
const { drop, pass, redirect } = XdpAction;

const uplink = await openUplink();
after(() => uplink.close());

/** What only a mixture can lead to. */
const ASTRAY: RuleAction = { kind: "Redirect", target: { kind: "interface", name: "eth1" } };
const trap = (name: string) => rule(name, ASTRAY, { protocols: [{ kind: "udp" }] });
const toWeb: Partial<RuleRecord> = {
  protocols: [{ kind: "tcp", destinationPort: { start: 80, end: 80 } }],
};
const anything = rule("rest", ASTRAY);

async function withReader(
  frames: readonly Buffer[],
  work: (reader: Reader) => Promise<void>,
): Promise<Reader> {
  uplink.run(frames[0]!);
  const reader = await startReader(uplink.datapath.uplink, uplink.loopback, frames);
  try {
    await work(reader);
  } finally {
    await reader.stop();
  }
  return reader;
}

/** Verdicts that came out, and that each of them came out often: the reader saw what it was to see. */
function assertOnly(tally: readonly number[], ...verdicts: readonly number[]): void {
  const found = tally.flatMap((count, verdict) => (count > 0 ? [verdict] : []));
  assert.deepEqual(new Set(found), new Set(verdicts), `tally ${tally.join(" ")}`);
  for (const verdict of verdicts) {
    assert.ok(tally[verdict]! >= 10, `verdict ${verdict} came ${tally[verdict]} times`);
  }
}

const web = packet(eth(), ipv4({ source: "198.51.100.7" }), tcp());

describe("rules that flip under traffic", () => {
  /* The same packet matches the first rule of one and the second of the other, and each has a trap where the other
   * has its hit: a packet that takes bitmaps, rules or fields of one with those of the other goes astray. */
  const drops: Partial<Setup> = {
    policies: [
      policy("drops", [
        rule("hit", "Drop", {
          ...toWeb,
          from: [{ kind: "cidr", cidr: parseCidr("198.51.100.0/24"), except: [] }],
        }),
        trap("trap"),
        anything,
      ]),
    ],
  };
  const passes: Partial<Setup> = {
    policies: [
      policy("passes", [
        trap("trap"),
        rule("hit", "Accept", {
          protocols: [
            {
              kind: "tcp",
              sourcePort: { start: 40000, end: 40000 },
              flags: { set: ["SYN"], unset: ["ACK"] },
            },
          ],
          to: [{ kind: "cidr", cidr: parseCidr("192.0.2.2"), except: [] }],
        }),
        anything,
      ]),
    ],
  };

  it(`${FLIPS} flips: the packet is dropped or passes, and is never led astray`, async () => {
    await uplink.apply(drops);
    const reader = await withReader([web], async () => {
      for (let flip = 0; flip < FLIPS; flip++) {
        await uplink.apply(flip % 2 === 0 ? passes : drops);
        assert.equal(uplink.run(web).verdict, flip % 2 === 0 ? pass : drop, `after flip ${flip}`);
      }
    });
    assertOnly(reader.tally(0), drop, pass);
  });

  it("20 flips for which the address tables are built anew do the same", async () => {
    /* A rule for everybody but some is a root of the address classes, which are never edited. */
    const everybody: Peer = {
      kind: "cidr",
      cidr: parseCidr("0.0.0.0/0"),
      except: [parseCidr("203.0.113.0/24")],
    };
    const rooted: Partial<Setup> = {
      policies: [
        policy("rooted", [
          trap("trap"),
          rule("hit", "Accept", { ...toWeb, from: [everybody] }),
          anything,
        ]),
      ],
    };
    await uplink.apply(drops);
    const reader = await withReader([web], async () => {
      for (let flip = 0; flip < 20; flip++) {
        await uplink.apply(flip % 2 === 0 ? rooted : drops);
        assert.equal(uplink.run(web).verdict, flip % 2 === 0 ? pass : drop, `after flip ${flip}`);
      }
    });
    assertOnly(reader.tally(0), drop, pass);
  });

  it("a rule that stays is never missed while rules around it come and go", async () => {
    const around = (count: number) =>
      Array.from({ length: count }, (_, index) => trap(`trap-${index}`));
    await uplink.apply(drops);
    const reader = await withReader([web], async () => {
      for (let flip = 0; flip < 40; flip++) {
        const [before, behind] = [around((flip * 7) % 150), around(flip)];
        const rules = [...before, rule("hit", "Drop", toWeb), ...behind, anything];
        const named = rules.map((one, index) => ({ ...one, name: `r${index}` }));
        await uplink.apply({ policies: [policy("stays", named)] });
      }
    });
    assertOnly(reader.tally(0), drop);
  });
});

describe("sets that are edited under traffic", () => {
  const red: Peer = { kind: "cidrSet", setName: "red" };
  const blue: Peer = { kind: "cidrSet", setName: "blue" };
  const inert = Array.from({ length: 10 }, (_, index) => `inert-${index}`);
  const policies = [
    policy("sets", [
      rule("red", "Drop", { from: [red] }),
      rule("blue", "Accept", { from: [blue] }),
      /* Sets that no packet here can match, only so that classes are new with each edit. */
      ...inert.map((setName) =>
        rule(setName, ASTRAY, {
          from: [{ kind: "cidrSet", setName }],
          protocols: [{ kind: "sctp" }],
        }),
      ),
      anything,
    ]),
  ];
  const listOf = (...entries: readonly string[]) =>
    cidrListOf(entries.map((text) => ({ cidr: parseCidr(text), expiresAt: 0 })));
  const movers = ["198.51.100.7/32", "2001:db8:1:2::7/128"];
  const fixed = ["198.51.100.9/32", "2001:db8:1:2::9/128", "203.0.113.0/25", "2001:db8:9::/49"];
  const frames = [
    web,
    packet(eth(), ipv6({ source: "2001:db8:1:2::7" }), tcp()),
    packet(eth(), ipv4({ source: "198.51.100.9" }), tcp()),
    packet(eth(), ipv6({ source: "2001:db8:1:2::9" }), tcp()),
    packet(eth(), ipv4({ source: "203.0.113.77" }), tcp()),
    packet(eth(), ipv6({ source: "2001:db8:9:7fff::" }), tcp()),
  ];

  function setupAt(edit: number): Partial<Setup> {
    const noise = [`198.51.${edit % 256}.0/${24 + (edit % 8)}`, `2001:db8:1:${edit % 16}::/65`];
    const sets = new Map([
      ["red", listOf(...fixed, ...(edit % 2 === 0 ? movers : []))],
      ["blue", listOf(...(edit % 2 === 0 ? [] : movers))],
      ...inert.map(
        (name, bit) =>
          [name, listOf(...((edit >> bit) & 1 ? [...movers, ...noise] : noise))] as const,
      ),
    ]);
    return { policies, sets };
  }

  it(`${FLIPS} edits in place: an address that moves is always in one set, its neighbours stay in theirs`, async () => {
    await uplink.apply(setupAt(0));
    const { number } = uplink.firewall.generation;
    const reader = await withReader(frames, async () => {
      for (let edit = 1; edit <= FLIPS; edit++) {
        await uplink.apply(setupAt(edit));
        const expected = edit % 2 === 0 ? drop : pass;
        for (const frame of frames.slice(0, 2)) {
          assert.equal(uplink.run(frame).verdict, expected, `after edit ${edit}`);
        }
      }
    });
    assert.equal(uplink.firewall.generation.number, number, "no edit took a new generation");
    assertOnly(reader.tally(0), drop, pass);
    assertOnly(reader.tally(1), drop, pass);
    for (const frame of [2, 3, 4, 5]) assertOnly(reader.tally(frame), drop);
  });

  it("prefixes wider than /16 and /48 that come and go take the others along, unharmed", async () => {
    const setup = (edit: number): Partial<Setup> => {
      const wide = edit % 2 === 0 ? ["198.0.0.0/9", "2001:db8::/33"] : [];
      const sets = new Map([
        ["red", listOf(...fixed, ...movers)],
        ["blue", listOf(...wide)],
        ...inert.map((name) => [name, listOf()] as const),
      ]);
      return { policies, sets };
    };
    await uplink.apply(setup(0));
    const reader = await withReader(frames, async () => {
      for (let edit = 1; edit <= 30; edit++) await uplink.apply(setup(edit));
    });
    for (const frame of frames.keys()) assertOnly(reader.tally(frame), drop);
  });
});

it("a packet is led astray when nothing else takes it: the traps work", async () => {
  await uplink.apply({ policies: [policy("only", [trap("trap"), anything])] });
  assert.equal(uplink.run(web).verdict, redirect);
});
