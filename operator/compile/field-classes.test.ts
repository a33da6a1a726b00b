import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { ClassSections as S, Limits } from "../../datapath/generated/layout.js";
import { policy, rule } from "../../test/oracle/build.js";
import { ruleMatches } from "../../test/oracle/match.js";
import { isLaterFragment, type Packet } from "../../test/oracle/packet.js";
import { detailOf, packet, protocolMatch } from "../../test/oracle/protocol-arbitrary.js";
import type { RuleRecord, Trait } from "../model/records.js";
import { hasRule } from "./bitmap.js";
import { CapacityError } from "./capacity-error.js";
import { compileFieldClasses, constrains, type FieldClasses } from "./field-classes.js";
import { type CompiledRule, compileRuleList } from "./rule-list.js";

const PORTED = [6, 17, 132];
const TRAIT_BITS: Partial<Record<Trait, number>> = {
  Fragment: 1,
  IPOptions: 2,
  SameAddress: 4,
  MartianSource: 8,
};

function compile(rules: readonly RuleRecord[], interfaces = [1]): readonly CompiledRule[] {
  return compileRuleList({
    nodeLabels: {},
    interfaces: interfaces.map((slot) => ({ name: `eth${slot}`, slot, uplink: true })),
    policies: [policy("p", rules)],
    nodes: [],
    failSafe: [],
    nodeLocal: [],
    nowMs: 0,
  }).rules;
}

/** Rows of the table that the program looks at for a packet (classify.h). */
function rowsOf(found: Packet, slot: number): readonly number[] {
  const { ports, protocol, source, tcpFlags, icmp, traits } = found;
  const section = PORTED.indexOf(protocol) * 65536;
  const withoutPorts =
    S.SECTION_PROTOCOL +
    (isLaterFragment(found) ? 512 : 0) +
    (source.family === 6 ? 256 : 0) +
    protocol;
  const traitBits = [...traits].reduce((bits, trait) => bits | (TRAIT_BITS[trait] ?? 0), 0);
  const details = source.family === 4 ? S.SECTION_ICMP : S.SECTION_ICMPV6;
  return [
    S.SECTION_INTERFACE + slot,
    ports ? S.SECTION_DESTINATION_PORT + section + ports.destination : withoutPorts,
    S.SECTION_TRAITS + traitBits,
    ...(ports ? [S.SECTION_SOURCE_PORT + section + ports.source] : []),
    ...(tcpFlags ? [S.SECTION_TCP_FLAGS + detailOf(found)] : []),
    ...(icmp ? [details + detailOf(found)] : []),
  ];
}

/** Written over whatever was there. */
function tableOf({ writeClasses }: FieldClasses): Uint16Array {
  const table = new Uint16Array(S.CLASS_TABLE_ENTRIES).fill(0xdead);
  writeClasses(table);
  return table;
}

/** Names of the rules that all classes of a packet accept. */
function accepted(
  rules: readonly CompiledRule[],
  { ruleSets }: FieldClasses,
  classes: Uint16Array,
  rows: readonly number[],
): readonly string[] {
  const names = rules.flatMap((one, index) =>
    rows.every((row) => hasRule(ruleSets[classes[row]!]!, index)) ? [one.rule] : [],
  );
  return [...new Set(names)];
}

describe("field classes", () => {
  it("accept for each packet the rules that match it, whatever their protocols and traits", () => {
    const record = fc
      .record({
        protocols: fc.array(protocolMatch, { maxLength: 4 }),
        traits: fc.subarray(["Fragment", "IPOptions", "SameAddress"] as const),
      })
      .map((parts) => rule("unnamed", "Drop", parts));
    fc.assert(
      fc.property(
        fc.array(record, { minLength: 1, maxLength: 5 }),
        fc.array(packet, { minLength: 20, maxLength: 20 }),
        (records, packets) => {
          const named = records.map((one, index) => ({ ...one, name: `r${index}` }));
          const rules = compile(named);
          const fieldClasses = compileFieldClasses(rules);
          const table = tableOf(fieldClasses);
          for (const found of packets) {
            const expected = named
              .filter((one) => ruleMatches(one, found, { sets: new Map(), nodes: [] }, 0))
              .map(({ name }) => name);
            assert.deepEqual(accepted(rules, fieldClasses, table, rowsOf(found, 1)), expected);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it("class 0 accepts nothing, and is what interfaces have that nobody judges", () => {
    const rules = compile([rule("any", "Drop")], [3]);
    const fieldClasses = compileFieldClasses(rules);
    const { ruleSets } = fieldClasses;
    const classes = tableOf(fieldClasses);
    assert.ok(classes.every((one) => one < ruleSets.length));
    assert.ok(ruleSets[0]!.every((word) => word === 0));
    assert.equal(classes[S.SECTION_INTERFACE + 2], 0);
    assert.ok(hasRule(ruleSets[classes[S.SECTION_INTERFACE + 3]!]!, 0));
  });

  it("equal fields share a class: many rules of one port need few", () => {
    const web = {
      protocols: [{ kind: "tcp", destinationPort: { start: 443, end: 443 } }],
    } as const;
    const many = Array.from({ length: 500 }, (_, index) => rule(`r${index}`, "Drop", web));
    const { ruleSets } = compileFieldClasses(compile(many));
    assert.ok(ruleSets.length <= 4, `${ruleSets.length} classes`);
  });

  it("more classes than the table has rows are refused, and the table is named", () => {
    /* Each rule begins and ends at destination ports of its own, and has source ports to itself. */
    const count = 4000;
    const rules = compile([rule("one", "Drop")]);
    const many = Array.from({ length: count }, (_, index): CompiledRule => {
      const destination = { start: index * 8 + 1, end: index * 8 + 40_000 };
      const source = { start: index * 16, end: index * 16 + 3 };
      const box = { destinationPorts: [destination], sourcePorts: [source], details: undefined };
      return { ...rules[0]!, protocols: new Map([["tcp", box]]) };
    });
    assert.throws(
      () => compileFieldClasses(many),
      (error) =>
        error instanceof CapacityError &&
        error.table === "field classes" &&
        error.message.includes(String(Limits.MAX_FIELD_CLASSES)),
    );
  });

  it("say which fields any rule constrains", () => {
    const port = { start: 1, end: 1 };
    const rules = compile([
      rule("any", "Drop"),
      rule("port", "Drop", { protocols: [{ kind: "udp", destinationPort: port }] }),
    ]);
    assert.equal(constrains(rules, "destinationPorts"), true);
    assert.equal(constrains(rules, "sourcePorts"), false);
    assert.equal(constrains(rules, "details"), false);
    const flags = rule("f", "Drop", {
      protocols: [{ kind: "tcp", flags: { set: ["SYN"], unset: [] } }],
    });
    assert.equal(constrains(compile([flags]), "details"), true);
  });
});
