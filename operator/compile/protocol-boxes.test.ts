import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { rule } from "../../test/oracle/build.js";
import { ruleMatches } from "../../test/oracle/match.js";
import { isLaterFragment, type Packet } from "../../test/oracle/packet.js";
import { detailOf, packet, protocolMatch } from "../../test/oracle/protocol-arbitrary.js";
import type { PortRange, ProtocolMatch } from "../model/records.js";
import {
  isUnconstrained,
  mergeRanges,
  type ProtocolProduct,
  protocolProducts,
  type ProtocolSpace,
} from "./protocol-boxes.js";

const PORTED = new Map<number, ProtocolSpace>([
  [6, "tcp"],
  [17, "udp"],
  [132, "sctp"],
]);

/** As the kernel: each field by itself, and a later fragment has none. */
function isIn(product: ProtocolProduct, found: Packet): boolean {
  const space = PORTED.get(found.protocol) ?? (`${found.source.family}/${found.protocol}` as const);
  const box = product.get(space);
  if (box === undefined) return false;
  if (isLaterFragment(found)) return isUnconstrained(box);
  return (
    holds(box.destinationPorts, found.ports?.destination) &&
    holds(box.sourcePorts, found.ports?.source) &&
    holds(box.details, (found.tcpFlags ?? found.icmp) ? detailOf(found) : undefined)
  );
}

function holds(ranges: readonly PortRange[] | undefined, value: number | undefined): boolean {
  if (ranges === undefined) return true;
  return value !== undefined && ranges.some(({ start, end }) => start <= value && value <= end);
}

function count(protocols: readonly ProtocolMatch[]): number {
  return protocolProducts(protocols)?.length ?? 0;
}

describe("products of protocols", () => {
  it("together accept what the entries accept, and nothing else", () => {
    const protocols = fc.array(protocolMatch, { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(protocols, packet, (entries, found) => {
        const products = protocolProducts(entries) ?? [];
        const expected = ruleMatches(
          rule("r", "Drop", { protocols: entries }),
          found,
          { sets: new Map(), nodes: [] },
          0,
        );
        assert.equal(
          products.some((product) => isIn(product, found)),
          expected,
        );
      }),
      { numRuns: 2000 },
    );
  });

  it("no entries accept everything", () => assert.equal(protocolProducts([]), undefined));

  const port = (number: number): PortRange => ({ start: number, end: number });

  it("one is enough for lists that differ in one field, of any number of protocols", () => {
    const ports = Array.from({ length: 50 }, (_, index) => port(index * 7));
    const entries = ports.flatMap((destinationPort): readonly ProtocolMatch[] => [
      { kind: "tcp", destinationPort },
      { kind: "udp", destinationPort },
    ]);
    assert.equal(count([...entries, { kind: "icmp", type: 8 }, { kind: "icmpv6" }]), 1);
    assert.equal(
      count(
        ["SYN", "ACK"].map((flag) => ({ kind: "tcp", flags: { set: [flag as "SYN"], unset: [] } })),
      ),
      1,
    );
  });

  it("pairs that are no product take one each", () => {
    const pairs: readonly ProtocolMatch[] = [1, 2, 3].map((number) => ({
      kind: "tcp",
      sourcePort: port(number),
      destinationPort: port(number),
    }));
    assert.equal(count(pairs), 3);
    assert.equal(count([...pairs, { kind: "udp" }]), 3);
    assert.equal(
      count([...pairs, { kind: "tcp" }]),
      1,
      "an entry without conditions takes them in",
    );
  });

  it("a protocol by its number is the protocol", () => {
    assert.deepEqual(
      protocolProducts([{ kind: "protocol", number: 6 }]),
      protocolProducts([{ kind: "tcp" }]),
    );
    const [product] = protocolProducts([{ kind: "protocol", number: 1 }])!;
    assert.deepEqual([...product!.keys()], ["4/1", "6/1"]);
  });
});

describe("merged ranges", () => {
  it("are sorted, apart from each other, and hold the same numbers", () => {
    const range = fc
      .tuple(fc.nat(30), fc.nat(6))
      .map(([start, size]): PortRange => ({ start, end: start + size }));
    fc.assert(
      fc.property(fc.array(range, { maxLength: 8 }), (ranges) => {
        const merged = mergeRanges(ranges);
        for (let index = 1; index < merged.length; index++) {
          assert.ok(merged[index]!.start > merged[index - 1]!.end + 1);
        }
        for (let number = 0; number < 40; number++) {
          assert.equal(holds(merged, number), holds(ranges, number), `${number}`);
        }
      }),
    );
  });
});
