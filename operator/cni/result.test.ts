import assert from "node:assert/strict";
import { test } from "node:test";
import { readPreviousResult } from "./previous-result.js";
import { type CniResult, emptyResult, extendResult, formatResult } from "./result.js";
import { cniVersions, readVersion, requireVerb } from "./versions.js";

const result: CniResult = {
  interfaces: [
    { name: "slc0", mac: "ee:ee:ee:ee:ee:ee", mtu: 1500 },
    { name: "eth0", mac: "02:00:00:00:00:05", mtu: 1500, sandbox: "/run/netns/a" },
  ],
  ips: [
    { address: "10.0.0.5/32", gateway: "169.254.1.1", interface: 1 },
    { address: "fd00::5/128", gateway: "fe80::1", interface: 1 },
  ],
  routes: [
    { dst: "0.0.0.0/0", gw: "169.254.1.1" },
    { dst: "::/0", gw: "fe80::1", mtu: 1400 },
  ],
  dns: { nameservers: ["10.96.0.10"] },
};

test("0.1.0 and 0.2.0 have an object for each family", () => {
  for (const version of ["0.1.0", "0.2.0"] as const) {
    assert.deepEqual(formatResult(result, version), {
      cniVersion: version,
      ip4: {
        ip: "10.0.0.5/32",
        gateway: "169.254.1.1",
        routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }],
      },
      ip6: { ip: "fd00::5/128", gateway: "fe80::1", routes: [{ dst: "::/0", gw: "fe80::1" }] },
      dns: { nameservers: ["10.96.0.10"] },
    });
  }
});

test("0.3.0 to 0.4.0 name the family of each address", () => {
  for (const version of ["0.3.0", "0.3.1", "0.4.0"] as const) {
    assert.deepEqual(formatResult(result, version), {
      cniVersion: version,
      interfaces: [
        { name: "slc0", mac: "ee:ee:ee:ee:ee:ee" },
        { name: "eth0", mac: "02:00:00:00:00:05", sandbox: "/run/netns/a" },
      ],
      ips: [
        { version: "4", address: "10.0.0.5/32", gateway: "169.254.1.1", interface: 1 },
        { version: "6", address: "fd00::5/128", gateway: "fe80::1", interface: 1 },
      ],
      routes: [
        { dst: "0.0.0.0/0", gw: "169.254.1.1" },
        { dst: "::/0", gw: "fe80::1" },
      ],
      dns: { nameservers: ["10.96.0.10"] },
    });
  }
});

test("1.0.0 leaves the family out, and only 1.1.0 has the MTU of interfaces and routes", () => {
  const older = JSON.stringify(formatResult(result, "1.0.0"));
  assert.doesNotMatch(older, /"version"|"mtu"/);
  assert.deepEqual(formatResult(result, "1.1.0"), { cniVersion: "1.1.0", ...result });
});

test("what a version wrote is read back as prevResult, except what it cannot hold", () => {
  for (const version of cniVersions) {
    const read = readPreviousResult(formatResult(result, version));
    const again = formatResult(read, version);
    assert.deepEqual(again, formatResult(result, version), version);
  }
});

test("a chained result keeps what was there, and its own addresses point to its own interfaces", () => {
  const before = readPreviousResult({
    interfaces: [{ name: "br0" }, { name: "net1", sandbox: "/run/netns/a", socketPath: "/s" }],
    ips: [{ address: "192.0.2.5/24", interface: 1 }],
  });
  const extended = extendResult(before, result);
  assert.deepEqual(
    extended.interfaces.map(({ name }) => name),
    ["br0", "net1", "slc0", "eth0"],
  );
  assert.deepEqual(
    extended.ips.map((ip) => ip.interface),
    [1, 3, 3],
  );
  assert.equal(extended.interfaces[1]?.socketPath, "/s");
  assert.deepEqual(extendResult(emptyResult, result), result);
});

test("prevResult that is not understood names the field", () => {
  for (const [value, field] of [
    [[], "prevResult"],
    [{ ips: "10.0.0.5" }, "prevResult.ips"],
    [{ ips: [{ address: 5 }] }, "prevResult.ips"],
    [{ interfaces: [{}] }, "prevResult.interfaces"],
    [{ ip4: { gateway: "10.0.0.1" } }, "prevResult.ip4"],
    [{ routes: [{ gw: "10.0.0.1" }] }, "prevResult.routes"],
  ] as const) {
    assert.throws(() => readPreviousResult(value), {
      code: "SLUICE_CNI_CONFIG",
      message: new RegExp(`field ${field} `),
    });
  }
});

test("an unknown version is refused with those there are, and a verb in a version before it", () => {
  assert.equal(readVersion(undefined), "0.1.0");
  assert.throws(() => readVersion("1.2.0"), {
    code: "SLUICE_CNI_VERSION",
    message: /0\.1\.0.*1\.1\.0/,
  });
  assert.throws(() => readVersion(1), { code: "SLUICE_CNI_VERSION" });
  requireVerb("CHECK", "0.4.0");
  assert.throws(() => requireVerb("CHECK", "0.3.1"), { code: "SLUICE_CNI_VERSION" });
  assert.throws(() => requireVerb("GC", "1.0.0"), { code: "SLUICE_CNI_VERSION" });
});
