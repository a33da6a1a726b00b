import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCapabilities } from "./capabilities.js";

test("the effective set is decoded and the others are not looked at", () => {
  const status =
    "CapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapEff:\t0000008000001000\n";
  assert.deepEqual(parseCapabilities(status), new Set(["CAP_NET_ADMIN", "CAP_BPF"]));
  assert.deepEqual(parseCapabilities("CapEff:\t0000000000000000\n"), new Set());
});
