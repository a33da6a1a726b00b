import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import ipaddr from "ipaddr.js";
import { SluiceError } from "../errors.js";
import {
  ANY_CIDR,
  cidrContains,
  isFault,
  PEER_CIDR,
  parseCidr,
  readCidr,
  SET_CIDR,
} from "./cidr.js";
import { formatAddress, formatCidr } from "./cidr-format.js";
import type { CidrForm } from "./cidr-scan.js";

const anyV4 = fc.tuple(fc.nat(0xffffffff), fc.integer({ min: 0, max: 32 }));
// Zero groups are frequent, so that every way to shorten an address comes up.
const anyGroup = fc.oneof(fc.constant(0), fc.nat(0xffff), fc.nat(15));
const anyV6 = fc.tuple(
  fc.array(anyGroup, { minLength: 8, maxLength: 8 }),
  fc.integer({ min: 0, max: 128 }),
);

function networkV4([address, length]: [number, number]): string {
  const bytes = [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
  return `${ipaddr.IPv4.networkAddressFromCIDR(`${bytes}/${length}`).toString()}/${length}`;
}

function networkV6([groups, length]: [number[], number]): ipaddr.IPv6 {
  const text = groups.map((group) => group.toString(16)).join(":");
  return ipaddr.IPv6.networkAddressFromCIDR(`${text}/${length}`);
}

describe("reading a CIDR", () => {
  it("reads every canonical IPv4 block as the address library does, and writes it back", () => {
    fc.assert(
      fc.property(anyV4, (block) => {
        const text = networkV4(block);
        const cidr = parseCidr(text);
        assert.equal(cidr.family, 4);
        const [expected, length] = ipaddr.IPv4.parseCIDR(text);
        const bytes = expected.toByteArray();
        assert.deepEqual(cidr, {
          family: 4,
          address: Buffer.from(bytes).readUInt32BE(),
          length,
        });
        assert.equal(formatCidr(cidr), text);
      }),
    );
  });

  it("reads every canonical IPv6 block as the address library does, and writes it back", () => {
    fc.assert(
      fc.property(anyV6, (block) => {
        const network = networkV6(block);
        fc.pre(!network.isIPv4MappedAddress());
        const bytes = Buffer.from(network.toByteArray());
        const cidr = {
          family: 6 as const,
          high: bytes.readBigUInt64BE(0),
          low: bytes.readBigUInt64BE(8),
          length: block[1],
        };
        const text = formatCidr(cidr);
        assert.deepEqual(ipaddr.IPv6.parse(formatAddress(cidr)).parts, network.parts);
        assert.deepEqual(parseCidr(text), cidr);
      }),
    );
  });

  it("accepts a text only if it is the one canonical text of what it means", () => {
    const characters = fc.constantFrom(..."0123456789abcdefF:.:./ ".split(""));
    const noise = fc.array(characters, { maxLength: 20 }).map((list) => list.join(""));
    const nearly = fc
      .tuple(
        fc.oneof(
          anyV4.map(networkV4),
          anyV6.map((block) => networkV6(block).toString()),
        ),
      )
      .chain(([text]) =>
        fc
          .tuple(fc.nat(text.length), characters, fc.boolean())
          .map(
            ([at, character, replace]) =>
              text.slice(0, at) + character + text.slice(at + (replace ? 1 : 0)),
          ),
      );
    fc.assert(
      fc.property(fc.oneof(noise, nearly), (text) => {
        const cidr = readCidr(text, ANY_CIDR);
        if (isFault(cidr)) return;
        const canonical = text.includes("/") ? formatCidr(cidr) : formatAddress(cidr);
        assert.equal(text, canonical);
        assert.ok(ipaddr.isValid(formatAddress(cidr)));
      }),
      { numRuns: 2000 },
    );
  });

  it("writes IPv6 as RFC 5952 asks", () => {
    for (const text of [
      "::/0",
      "::1/128",
      "1::/16",
      "2001:db8::/32",
      "2001:db8:0:1:1:1:1:1/128",
      "2001:0:0:1::/64",
      "2001:db8::1:0:0:1/128",
      "1:2:3:4:5:6:7:8/128",
      "1:2:3:4:5:6:7:0/112",
      "0:1:2:3:4:5:6:7/128",
    ]) {
      assert.equal(formatCidr(parseCidr(text)), text);
    }
  });
});

describe("a text that is no CIDR is refused with what to write instead", () => {
  const cases: readonly [text: string, form: CidrForm, message: RegExp, remedy: RegExp][] = [
    ["10.0.0.1/8", PEER_CIDR, /host bits/, /10\.0\.0\.0\/8.*10\.0\.0\.1\/32/],
    ["2001:db8::1/32", PEER_CIDR, /host bits/, /2001:db8::\/32.*2001:db8::1\/128/],
    ["010.0.0.0/8", PEER_CIDR, /leading zeros/, /^Write 10\.0\.0\.0\/8$/],
    ["10.0.0.0/08", PEER_CIDR, /leading zeros/, /^Write 10\.0\.0\.0\/8$/],
    ["2001:0db8::/32", PEER_CIDR, /leading zeros/, /^Write 2001:db8::\/32$/],
    ["2001:DB8::/32", PEER_CIDR, /lower case/, /^Write 2001:db8::\/32$/],
    ["2001:db8:0:0:0:0:0:0/32", PEER_CIDR, /canonical/, /^Write 2001:db8::\/32$/],
    ["1::2:0:0:0:0/64", PEER_CIDR, /canonical/, /^Write 1:0:0:2::\/64$/],
    ["::ffff:192.0.2.0/120", PEER_CIDR, /IPv4 address in IPv6/, /^Write 192\.0\.2\.0\/24$/],
    ["::ffff:c000:201", SET_CIDR, /IPv4 address in IPv6/, /^Write 192\.0\.2\.1\/32$/],
    ["::ffff:0:0/96", PEER_CIDR, /IPv4 address in IPv6/, /IPv4 block itself/],
    ["10.0.0.0/33", PEER_CIDR, /length 33.*32 bits/, /0 to 32/],
    ["2001:db8::/129", PEER_CIDR, /length 129.*128 bits/, /0 to 128/],
    ["10.0.0.0/", PEER_CIDR, /no number/, /0 to 32/],
    ["10.0.0.0/-1", PEER_CIDR, /no number/, /0 to 32/],
    ["10.0.0.0/255.255.0.0", PEER_CIDR, /mask/, /\/16/],
    ["10.0.0.0", PEER_CIDR, /without a prefix length/, /^Write 10\.0\.0\.0\/32/],
    ["0.0.0.0/0", SET_CIDR, /every address/, /rule/],
    ["::/0", SET_CIDR, /every address/, /rule/],
    ["256.0.0.0/8", PEER_CIDR, /256/, /0 to 255/],
    ["10.0.0/24", PEER_CIDR, /3 of the four parts/, /such as/],
    ["1.2.3.4.5", SET_CIDR, /5 of the four parts/, /such as/],
    ["10.0.0.1-10.0.0.9", SET_CIDR, /range/, /CIDR/],
    ["fe80::1%eth0/64", PEER_CIDR, /zone/, /%/],
    ["10.0.0.1:80", SET_CIDR, /port/, /protocols/],
    ["10.*", SET_CIDR, /wildcard/, /10\.0\.0\.0\/8/],
    ["example.com", SET_CIDR, /names are not resolved/, /such as/],
    [" 10.0.0.0/8", PEER_CIDR, /blanks/, /^Write 10\.0\.0\.0\/8$/],
    ["10.0.0.0/8\n", PEER_CIDR, /blanks/, /^Write 10\.0\.0\.0\/8$/],
    ["", PEER_CIDR, /empty/, /such as/],
    ["1::2::3/64", PEER_CIDR, /no(t an)? IPv6/, /such as/],
    ["1.2.3.4/24/8", PEER_CIDR, /no number/, /0 to 32/],
  ];
  for (const [text, form, message, remedy] of cases) {
    it(JSON.stringify(text), () => {
      const fault = readCidr(text, form);
      assert.ok(isFault(fault), "accepted");
      assert.match(fault.message, message);
      assert.match(fault.remedy, remedy);
    });
  }

  it("offers only texts that are accepted in the same place", () => {
    const spoiled = fc.oneof(
      anyV4.map(
        ([address, length]) => `${formatAddress({ family: 4, address, length })}/${length}`,
      ),
      anyV6.map(([groups, length]) => `${groups.map((g) => g.toString(16)).join(":")}/${length}`),
      anyV6.map(
        ([groups, length]) =>
          `${groups.map((g) => g.toString(16).padStart(4, "0").toUpperCase()).join(":")}/${length}`,
      ),
    );
    fc.assert(
      fc.property(spoiled, fc.constantFrom(PEER_CIDR, SET_CIDR), (text, form) => {
        const fault = readCidr(text, form);
        if (!isFault(fault) || /every address|IPv4 address in IPv6/.test(fault.message)) return;
        const offered = [...fault.remedy.matchAll(/[0-9a-f:.]+\/\d+/g)].map(String);
        assert.ok(offered.length > 0, `${text}: ${fault.remedy}`);
        const refused = offered.filter((offer) => isFault(readCidr(offer, ANY_CIDR)));
        assert.deepEqual(refused, []);
      }),
    );
  });

  it("cuts a long text in the message", () => {
    const fault = readCidr("x".repeat(10_000), PEER_CIDR);
    assert.ok(isFault(fault) && fault.message.length < 200);
  });

  it("throws the same as an error with a code where no list of problems is kept", () => {
    assert.throws(
      () => parseCidr("10.0.0.1/8"),
      (error) => error instanceof SluiceError && error.code === "SLUICE_CIDR",
    );
  });
});

describe("one CIDR contains another", () => {
  const contains = (outer: string, inner: string) =>
    cidrContains(parseCidr(outer), parseCidr(inner));

  it("when its bits begin those of the other", () => {
    assert.ok(contains("10.0.0.0/8", "10.1.0.0/16"));
    assert.ok(contains("10.0.0.0/8", "10.0.0.0/8"));
    assert.ok(contains("0.0.0.0/0", "255.0.0.0/8"));
    assert.ok(contains("128.0.0.0/1", "192.0.2.1/32"));
    assert.ok(contains("2001:db8::/32", "2001:db8:0:1::/64"));
    assert.ok(contains("2001:db8:0:0:8000::/65", "2001:db8::8000:0:0:1/128"));
    assert.ok(contains("::/0", "ffff::/16"));
    assert.ok(!contains("10.0.0.0/8", "11.0.0.0/16"));
    assert.ok(!contains("10.1.0.0/16", "10.0.0.0/8"));
    assert.ok(!contains("2001:db8:0:0:8000::/65", "2001:db8::/65"));
  });

  it("never across families", () => {
    assert.ok(!contains("0.0.0.0/0", "::/0"));
    assert.ok(!contains("::/0", "0.0.0.0/0"));
    // 32.1.13.184 has the first bits of 2001:db8::.
    assert.ok(!contains("32.1.0.0/16", "2001:db8::/32"));
  });
});
