/** Each line of the table of traits in docs/xdp-policy.md §4. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TcpFlag, Trait } from "../../operator/model/records.js";
import { parseAddress } from "./address.js";
import type { IpHeader, Transport } from "./packet.js";
import { traitsOf } from "./traits.js";

function traits(facts: Partial<IpHeader & Transport>): readonly Trait[] {
  return [
    ...traitsOf({
      source: parseAddress("192.0.2.1"),
      destination: parseAddress("198.51.100.2"),
      protocol: 47,
      hasOptions: false,
      ...facts,
    }),
  ];
}

function sourceTraits(source: string, facts: Partial<IpHeader & Transport> = {}): readonly Trait[] {
  const destination = source.includes(":") ? "2001:db8::2" : "198.51.100.2";
  return traits({
    source: parseAddress(source),
    destination: parseAddress(destination),
    ...facts,
  });
}

describe("Fragment and IPOptions", () => {
  it("are the facts of the header, and no bogons", () => {
    assert.deepEqual(traits({ fragment: { id: 1, protocol: 17, offset: 0, more: true } }), [
      "Fragment",
    ]);
    assert.deepEqual(traits({ fragment: { id: 1, protocol: 17, offset: 9, more: false } }), [
      "Fragment",
    ]);
    assert.deepEqual(traits({ hasOptions: true }), ["IPOptions"]);
  });
});

describe("SameAddress", () => {
  it("is equal source and destination, and a bogon", () => {
    for (const text of ["192.0.2.1", "2001:db8::1"]) {
      const address = parseAddress(text);
      assert.deepEqual(traits({ source: address, destination: address }), ["SameAddress", "Bogon"]);
    }
  });
});

describe("MartianSource", () => {
  it("covers each listed block from its first to its last address", () => {
    for (const source of [
      "0.0.0.0",
      "0.255.255.255",
      "127.0.0.0",
      "127.255.255.255",
      "224.0.0.0",
      "239.255.255.255",
      "240.0.0.0",
      "255.255.255.255",
      "::",
      "::1",
      "::ffff:0:0",
      "::ffff:ffff:ffff",
      "ff00::",
      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ]) {
      assert.deepEqual(sourceTraits(source), ["MartianSource", "Bogon"], source);
    }
  });

  it("ends where the blocks end", () => {
    for (const source of [
      "1.0.0.0",
      "126.255.255.255",
      "128.0.0.0",
      "223.255.255.255",
      "10.0.0.1",
      "169.254.0.1",
      "::2",
      "::fffe:ffff:ffff",
      "::1:0:0:0",
      "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
      "fe80::1",
    ]) {
      assert.deepEqual(sourceTraits(source), [], source);
    }
  });

  it("does not look at the destination", () => {
    assert.deepEqual(traits({ destination: parseAddress("255.255.255.255") }), []);
  });

  it("spares 0.0.0.0 with UDP to port 67 only", () => {
    const ports = { source: 68, destination: 67 };
    const martian = ["MartianSource", "Bogon"];
    assert.deepEqual(sourceTraits("0.0.0.0", { protocol: 17, ports }), []);
    assert.deepEqual(sourceTraits("0.0.0.1", { protocol: 17, ports }), martian);
    assert.deepEqual(sourceTraits("0.0.0.0", { protocol: 132, ports }), martian);
    assert.deepEqual(
      sourceTraits("0.0.0.0", { protocol: 17, ports: { source: 67, destination: 68 } }),
      martian,
    );
    assert.deepEqual(
      sourceTraits("0.0.0.0", {
        protocol: 17,
        fragment: { id: 1, protocol: 17, offset: 1, more: false },
      }),
      ["Fragment", ...martian],
    );
    assert.deepEqual(sourceTraits("::", { protocol: 17, ports }), martian);
  });

  it("spares :: with ICMPv6 of any type only", () => {
    assert.deepEqual(sourceTraits("::", { protocol: 58, icmp: { type: 135, code: 0 } }), []);
    assert.deepEqual(sourceTraits("::", { protocol: 58, icmp: { type: 1, code: 0 } }), []);
    assert.deepEqual(sourceTraits("::1", { protocol: 58, icmp: { type: 135, code: 0 } }), [
      "MartianSource",
      "Bogon",
    ]);
    assert.deepEqual(sourceTraits("0.0.0.0", { protocol: 58 }), ["MartianSource", "Bogon"]);
  });
});

describe("ZeroPort", () => {
  it("is a source or destination port 0 of TCP, UDP or SCTP", () => {
    const tcpFlags = new Set<TcpFlag>(["SYN"]);
    for (const ports of [
      { source: 0, destination: 80 },
      { source: 80, destination: 0 },
    ]) {
      assert.deepEqual(traits({ protocol: 6, ports, tcpFlags }), ["ZeroPort", "Bogon"]);
      assert.deepEqual(traits({ protocol: 17, ports }), ["ZeroPort", "Bogon"]);
      assert.deepEqual(traits({ protocol: 132, ports }), ["ZeroPort", "Bogon"]);
    }
    assert.deepEqual(traits({ protocol: 17, ports: { source: 1, destination: 65_535 } }), []);
  });

  it("is not a later fragment, which has no ports", () => {
    const fragment = { id: 1, protocol: 17, offset: 1, more: false };
    assert.deepEqual(traits({ protocol: 17, fragment }), ["Fragment"]);
  });
});

describe("ImpossibleTCPFlags", () => {
  const POSSIBLE: readonly (readonly TcpFlag[])[] = [
    ["SYN"],
    ["SYN", "ECE", "CWR"],
    ["SYN", "ACK"],
    ["ACK"],
    ["ACK", "PSH"],
    ["ACK", "URG"],
    ["FIN", "ACK"],
    ["FIN", "ACK", "PSH", "URG"],
    ["RST"],
    ["RST", "ACK"],
    ["RST", "PSH"],
    ["SYN", "PSH"],
    ["SYN", "URG"],
  ];
  const IMPOSSIBLE: readonly (readonly TcpFlag[])[] = [
    [],
    ["ECE"],
    ["CWR", "ECE"],
    ["PSH"],
    ["URG"],
    ["PSH", "URG"],
    ["SYN", "FIN"],
    ["SYN", "FIN", "ACK"],
    ["SYN", "RST"],
    ["SYN", "RST", "ACK"],
    ["FIN", "RST"],
    ["FIN", "RST", "ACK"],
    ["FIN"],
    ["FIN", "PSH", "URG"],
  ];
  const withFlags = (flags: readonly TcpFlag[]) =>
    traits({ protocol: 6, ports: { source: 1, destination: 2 }, tcpFlags: new Set(flags) });

  it("is none of the combinations that a TCP sends", () => {
    for (const flags of POSSIBLE) {
      assert.deepEqual(withFlags(flags), [], flags.join());
    }
  });

  it("is each of the listed combinations", () => {
    for (const flags of IMPOSSIBLE) {
      assert.deepEqual(withFlags(flags), ["ImpossibleTCPFlags", "Bogon"], flags.join());
    }
  });

  it("is not a later fragment, which has no flags", () => {
    assert.deepEqual(
      traits({ protocol: 6, fragment: { id: 1, protocol: 17, offset: 1, more: false } }),
      ["Fragment"],
    );
  });
});
