import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { admit } from "./admit.js";
import { formatCidr, formatV4 } from "./cidr-format.js";
import type { XdpCidrSetRecord } from "./records.js";

const NOW_MS = Date.UTC(2026, 5, 1);

function admitSet(spec: object) {
  const value = {
    apiVersion: "sluice.dev/v1alpha1",
    kind: "XdpCidrSet",
    metadata: { name: "spamhaus-1" },
    spec,
  };
  return admit({ value, origin: { source: "test.yaml" } }, NOW_MS);
}

function recordOf(spec: object): Omit<XdpCidrSetRecord, "origin" | "generation"> {
  const { admitted, problems } = admitSet(spec);
  assert.deepEqual(
    problems.filter(({ severity }) => severity === "error"),
    [],
  );
  assert.ok(admitted?.draft.kind === "XdpCidrSet");
  return admitted.draft;
}

function v4Of(spec: object): readonly string[] {
  const { address, length } = recordOf(spec).entries.v4;
  return Array.from(address, (bits, i) => `${formatV4(bits)}/${length[i]}`);
}

describe("an XdpCidrSet becomes a record", () => {
  it("that feeds the set of its own name, unless it names another", () => {
    assert.equal(recordOf({}).setName, "spamhaus-1");
    assert.equal(recordOf({ setName: "spamhaus" }).setName, "spamhaus");
  });

  it("with all its entries, bare addresses as single ones, duplicates kept", () => {
    const spec = { cidrs: ["192.0.2.0/24", "198.51.100.7", "2001:db8::/32", "192.0.2.0/24"] };
    assert.deepEqual(v4Of(spec), ["192.0.2.0/24", "198.51.100.7/32", "192.0.2.0/24"]);
    const { high, low, length } = recordOf(spec).entries.v6;
    assert.equal(
      formatCidr({ family: 6, high: high[0]!, low: low[0]!, length: length[0]! }),
      "2001:db8::/32",
    );
  });

  it("with the ends of its entries in seconds, rounded up", () => {
    const { entries } = recordOf({
      cidrs: ["192.0.2.0/24"],
      expiring: [{ cidr: "203.0.113.9/32", expiresAt: "2026-12-01T00:00:00.5Z" }],
    });
    const end = Date.UTC(2026, 11, 1) / 1000 + 1;
    assert.deepEqual([...(entries.v4.expiresAt ?? [])], [0, end]);
    assert.equal(entries.v6.expiresAt, undefined);
  });

  it("with a warning when entries have expired, even before 1970", () => {
    const past = { cidr: "203.0.113.9", expiresAt: "1969-12-31T23:59:59Z" };
    const some = admitSet({ cidrs: ["192.0.2.0/24"], expiring: [past] });
    assert.ok(some.admitted);
    assert.deepEqual(
      some.problems.map(({ severity, code, message }) => [severity, code, message]),
      [["warning", "SLUICE_EXPIRED", "1 of the 2 entries have expired"]],
    );
    const all = admitSet({ expiring: [past] });
    assert.ok(all.admitted);
    assert.match(all.problems[0]?.message ?? "", /all entries have expired/);
    assert.deepEqual([...(recordOf({ expiring: [past] }).entries.v4.expiresAt ?? [])], [1]);
  });
});

describe("an XdpCidrSet is refused", () => {
  const fieldsOf = (spec: object) => {
    const { admitted, problems } = admitSet(spec);
    assert.equal(admitted, undefined);
    return problems.map(({ field }) => field);
  };

  it("for a text that is no canonical CIDR, and each such entry is named", () => {
    assert.deepEqual(
      fieldsOf({
        cidrs: ["10.0.0.1/8", "10.0.0.0/8", "010.0.0.0/8", "::ffff:10.0.0.0/104"],
        expiring: [{ cidr: "host.example", expiresAt: "2026-12-01T00:00:00Z" }],
      }),
      ["spec.cidrs[0]", "spec.cidrs[2]", "spec.cidrs[3]", "spec.expiring[0].cidr"],
    );
  });

  it("for a block of all addresses", () => {
    assert.deepEqual(fieldsOf({ cidrs: ["0.0.0.0/0", "::/0"] }), [
      "spec.cidrs[0]",
      "spec.cidrs[1]",
    ]);
  });

  it("for an expiry that is no moment", () => {
    assert.deepEqual(fieldsOf({ expiring: [{ cidr: "10.0.0.0/8", expiresAt: "soon" }] }), [
      "spec.expiring[0].expiresAt",
    ]);
  });

  it("for more than 50,000 entries, in one list or together", () => {
    const cidrs = Array.from({ length: 50_000 }, (_, i) => formatV4(i));
    const end = { cidr: "10.0.0.0/8", expiresAt: "2026-12-01T00:00:00Z" };
    assert.ok(admitSet({ cidrs }).admitted);
    assert.deepEqual(fieldsOf({ cidrs: [...cidrs, "10.0.0.0/8"] }), ["spec.cidrs"]);
    const { admitted, problems } = admitSet({ cidrs, expiring: [end] });
    assert.equal(admitted, undefined);
    assert.match(problems[0]?.message ?? "", /more than 50,000 entries together/);
  });
});
