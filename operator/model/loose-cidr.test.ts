import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { formatAddress, formatCidr, formatGroups, formatV4 } from "./cidr-format.js";
import { CidrScanner } from "./cidr-scan.js";
import { readLooseAddress, readLooseCidr, scanLooseAddress } from "./loose-cidr.js";

const address = (text: string) => {
  const read = readLooseAddress(text);
  return read && formatAddress(read);
};
const cidr = (text: string) => {
  const read = readLooseCidr(text);
  return read && formatCidr(read);
};

describe("addresses that Kubernetes has taken", () => {
  it("are read in whatever form they have", () => {
    assert.equal(address("10.0.0.1"), "10.0.0.1");
    assert.equal(address("172.30.0.041"), "172.30.0.41");
    assert.equal(address("010.000.00.9"), "10.0.0.9");
    assert.equal(address("FD00::0:1"), "fd00::1");
    assert.equal(address("fd00:0:0:0:0:0:0:1"), "fd00::1");
    assert.equal(address("::ffff:10.1.2.3"), "10.1.2.3");
  });

  it("are no blocks, names or halves of addresses", () => {
    for (const text of [
      "",
      "None",
      "10.0.0.1/32",
      "10.0.0",
      "10.0.0.256",
      "fe80::1%eth0",
      "::1::",
    ]) {
      assert.equal(readLooseAddress(text), undefined, text);
    }
  });

  it("come back from text as they were, scanned or read", () => {
    const scanner = new CidrScanner();
    fc.assert(
      fc.property(fc.nat(0xffffffff), (value) => {
        const text = formatV4(value);
        assert.equal(address(text), text);
        assert.equal(scanLooseAddress(scanner, text), 4);
        assert.equal(scanner.address, value);
      }),
    );
    const group = fc.oneof(fc.constant(0), fc.nat(0xffff));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        // IPv4 in IPv6 form is read as IPv4.
        fc.pre(groups[5] !== 0xffff);
        const text = groups.map((part) => part.toString(16).padStart(4, "0")).join(":");
        assert.equal(address(text), formatGroups(Uint16Array.from(groups)));
        assert.equal(scanLooseAddress(scanner, text), 6);
        assert.deepEqual([...scanner.groups], groups);
      }),
    );
  });

  it("are scanned by the same rules", () => {
    const scanner = new CidrScanner();
    assert.equal(scanLooseAddress(scanner, "172.30.0.041"), 4);
    assert.equal(formatV4(scanner.address), "172.30.0.41");
    assert.equal(scanLooseAddress(scanner, "10.0.0.0/8"), 0);
    assert.equal(scanLooseAddress(scanner, "10.0.0.1/8"), 0);
    assert.equal(scanLooseAddress(scanner, "name"), 0);
  });
});

describe("blocks that Kubernetes has taken", () => {
  it("lose their host bits (N19)", () => {
    assert.equal(cidr("10.161.0.0/8"), "10.0.0.0/8");
    assert.equal(cidr("10.0.0.0/8"), "10.0.0.0/8");
    assert.equal(cidr("010.1.2.3/24"), "10.1.2.0/24");
    assert.equal(cidr("10.1.2.3/0"), "0.0.0.0/0");
    assert.equal(cidr("FD00:1::1/32"), "fd00:1::/32");
    assert.equal(cidr("::1/0"), "::/0");
    assert.equal(cidr("::ffff:10.1.2.3/120"), "10.1.2.0/24");
  });

  it("need a prefix length that fits", () => {
    for (const text of [
      "10.0.0.1",
      "10.0.0.0/33",
      "10.0.0.0/-1",
      "10.0.0.0/",
      "fd00::/129",
      "/8",
    ]) {
      assert.equal(readLooseCidr(text), undefined, text);
    }
    assert.equal(readLooseCidr("::ffff:10.1.2.3/95"), undefined);
  });
});
