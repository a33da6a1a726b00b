import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { parseCidr } from "../model/cidr.js";
import { AddressPool, type Addresses } from "./address-pool.js";

function poolOf(...cidrs: readonly string[]): AddressPool {
  const pool = new AddressPool();
  pool.setCidrs(cidrs.map((text) => parseCidr(text)));
  return pool;
}
const v4 = (ipv4: string): Addresses => ({ ipv4, ipv6: undefined });

test("each family of the node gives an address, none that is the network's, the node's or broadcast", () => {
  const pool = poolOf("10.0.0.0/29", "fd00::/64");
  const taken = Array.from({ length: 5 }, () => pool.take());
  assert.deepEqual(
    taken.map(({ ipv4 }) => ipv4),
    ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"],
  );
  assert.deepEqual(taken[0]?.ipv6, "fd00::2");
  assert.equal(pool.exhaustedFamily(), 4);
  assert.throws(() => pool.take(), {
    code: "SLUICE_CNI_NO_ADDRESS",
    message: /no IPv4 address is free in 10\.0\.0\.0\/29 \(5 in use\)/,
  });
  // The IPv6 address of the refused one is free again.
  assert.equal(pool.usage()[1]?.used, 5);
});

test("networks too small for customs are used whole", () => {
  const pool = poolOf("10.0.0.4/31");
  assert.deepEqual([pool.take().ipv4, pool.take().ipv4], ["10.0.0.4", "10.0.0.5"]);
  assert.equal(poolOf("255.255.255.255/32").take().ipv4, "255.255.255.255");
});

test("without a podCIDR the caller is asked to try again", () => {
  assert.throws(() => new AddressPool().take(), { code: "SLUICE_CNI_TRY_AGAIN" });
});

test("an address comes back only after all others were given out", () => {
  const pool = poolOf("10.0.0.0/29");
  const first = pool.take();
  pool.release(first);
  const next = Array.from({ length: 5 }, () => pool.take().ipv4);
  assert.deepEqual(next, ["10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.2"]);
});

test("the search goes on where an earlier process ended, also when the podCIDR is known only later", () => {
  const before = poolOf("10.0.0.0/24");
  before.take();
  before.release(before.take());
  const after = new AddressPool();
  for (const cursor of before.cursors()) after.resumeAfter(cursor);
  after.setCidrs([parseCidr("10.0.0.0/24")]);
  assert.equal(after.take().ipv4, "10.0.0.4");
});

test("a wanted address is given when it is the node's and free", () => {
  const pool = poolOf("10.0.0.0/24", "fd00::/64");
  assert.deepEqual(pool.take([parseCidr("10.0.0.77")]), { ipv4: "10.0.0.77", ipv6: "fd00::2" });
  assert.throws(() => pool.take([parseCidr("10.0.0.77")]), { code: "SLUICE_CNI_ADDRESS_TAKEN" });
  assert.throws(() => pool.take([parseCidr("10.0.1.1")]), { code: "SLUICE_CNI_CONFIG" });
  assert.throws(() => pool.take([parseCidr("10.0.0.0")]), { code: "SLUICE_CNI_CONFIG" });
  assert.equal(pool.usage()[1]?.used, 1);
});

test("addresses of a podCIDR that the node lost stay given out, and are known when it comes back", () => {
  const pool = poolOf("10.0.0.0/24");
  const old = pool.take();
  pool.setCidrs([parseCidr("10.0.1.0/24")]);
  assert.equal(pool.take().ipv4, "10.0.1.2");
  assert.equal(pool.hold(old), false);
  pool.setCidrs([parseCidr("10.0.0.0/24")]);
  assert.equal(pool.usage()[0]?.used, 1);
  assert.throws(() => pool.take([parseCidr("10.0.0.2")]), { code: "SLUICE_CNI_ADDRESS_TAKEN" });
  pool.release(old);
  assert.equal(pool.usage()[0]?.used, 0);
});

test("any order of calls: no address twice, none lost, and the one freed last is reused last", () => {
  const usable = ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"];
  const step = fc.oneof(
    fc.record({ do: fc.constant("take" as const) }),
    fc.record({ do: fc.constant("want" as const), at: fc.nat(4) }),
    fc.record({ do: fc.constant("free" as const), at: fc.nat(4) }),
    fc.record({ do: fc.constant("restart" as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let pool = poolOf("10.0.0.0/29");
      const held = new Set<string>();
      let last: string | undefined;
      for (const action of steps) {
        if (action.do === "take" && held.size === usable.length) {
          assert.throws(() => pool.take(), { code: "SLUICE_CNI_NO_ADDRESS" });
        } else if (action.do === "take") {
          const { ipv4 } = pool.take();
          // The model: the first free one behind the last one taken in turn.
          const from = last === undefined ? 0 : usable.indexOf(last) + 1;
          const turn = [...usable.slice(from), ...usable.slice(0, from)];
          assert.equal(
            ipv4,
            turn.find((address) => !held.has(address)),
          );
          last = ipv4;
          held.add(ipv4 ?? "");
        } else if (action.do === "want") {
          const address = usable[action.at] ?? "";
          const wanted = [parseCidr(address)];
          if (held.has(address)) {
            assert.throws(() => pool.take(wanted), { code: "SLUICE_CNI_ADDRESS_TAKEN" });
          } else assert.equal(pool.take(wanted).ipv4, address);
          held.add(address);
        } else if (action.do === "free") {
          const address = usable[action.at] ?? "";
          pool.release(v4(address));
          held.delete(address);
        } else {
          const fresh = poolOf("10.0.0.0/29");
          for (const address of held) assert.equal(fresh.hold(v4(address)), true);
          for (const cursor of pool.cursors()) fresh.resumeAfter(cursor);
          pool = fresh;
        }
        assert.equal(pool.usage()[0]?.used, held.size);
      }
    }),
    { numRuns: 500 },
  );
});
