import assert from "node:assert/strict";
import { test } from "node:test";
import { event } from "../../test/agent/fixture-engine.js";
import { createEventFilter, type EventFilterOptions } from "./event-filter.js";
import { decodePacket } from "./packet-decode.js";
import { buildFrame } from "./packet-frame.js";
import { readPacketWords } from "./packet-words.js";

/** Event: edge/bad, drop, audit, eth0. */
function lets(options: EventFilterOptions, words: string): boolean {
  const frame = buildFrame(readPacketWords(words.split(" "), {}));
  return createEventFilter(options)(event, decodePacket(frame));
}

const v4 = "tcp 10.1.2.3:1234 192.0.2.1:80";
const v6 = "udp [2001:db8::1]:53 [2001:db8::2]:9000";

const cases: readonly (readonly [EventFilterOptions, string, boolean])[] = [
  [{}, v4, true],
  [{ policy: ["edge"] }, v4, true],
  [{ policy: ["ed?e", "x"] }, v4, true],
  [{ policy: ["core"] }, v4, false],
  [{ rule: ["ba*"], effect: ["DROP"] }, v4, true],
  [{ rule: ["ba*"], effect: ["pass"] }, v4, false],
  [{ audit: true }, v4, true],
  [{ audit: false }, v4, false],
  [{ interface: ["eth*"] }, v4, true],
  [{ source: ["10.0.0.0/8"] }, v4, true],
  [{ source: ["10.1.2.3"] }, v4, true],
  [{ source: ["11.0.0.0/8", "10.1.0.0/16"] }, v4, true],
  [{ source: ["192.0.2.1"] }, v4, false],
  [{ destination: ["192.0.2.1/32"] }, v4, true],
  [{ source: ["0.0.0.0/0"] }, v6, false],
  [{ source: ["2001:db8::/32"] }, v6, true],
  [{ protocol: ["tcp"] }, v4, true],
  [{ protocol: ["17"] }, v4, false],
  [{ protocol: ["udp", "tcp"] }, v6, true],
  [{ port: ["80"] }, v4, true],
  [{ port: ["1234"] }, v4, true],
  [{ port: ["81"] }, v4, false],
  [{ port: ["53"], source: ["2001:db8::1"] }, v6, true],
];

for (const [options, words, expected] of cases) {
  test(`${JSON.stringify(options)} ${expected ? "lets" : "keeps"} ${words}`, () => {
    assert.equal(lets(options, words), expected);
  });
}

test("a frame without addresses passes only filters that ask for none", () => {
  const arp = decodePacket(Buffer.from("ffffffffffff0200000000010806", "hex"));
  assert.equal(createEventFilter({ policy: ["edge"] })(event, arp), true);
  assert.equal(createEventFilter({ source: ["0.0.0.0/0"] })(event, arp), false);
  assert.equal(createEventFilter({ protocol: ["tcp"] })(event, arp), false);
  assert.equal(createEventFilter({ port: ["0"] })(event, arp), false);
});

test("a source that no filter can name, as an IPv4-mapped one, is no error", () => {
  const frame = buildFrame(readPacketWords(["udp", "[2001:db8::1]:1", "[2001:db8::2]:2"], {}));
  Buffer.from("00000000000000000000ffff0a000001", "hex").copy(frame, 22);
  assert.equal(createEventFilter({ source: ["::/0"] })(event, decodePacket(frame)), false);
});
