import assert from "node:assert/strict";
import { test } from "node:test";
import { openedSockets, parseSockets } from "./seed-connections.js";

const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid";
const rest = "00000000:00000000 00:00000000 00000000     0        0 1 1";

/** One line as the kernel prints it on a little-endian machine. */
function line(local: string, remote: string, state: string): string {
  return `   0: ${local} ${remote} ${state} ${rest}`;
}

test("addresses of a socket are words as they lie in the packet, ports are numbers", () => {
  const [v4] = parseSockets([head, line("0100090A:9C40", "0200090A:0050", "01"), ""].join("\n"));
  assert.deepEqual(v4, {
    local: { family: 4, words: [0x0a09_0001, 0, 0, 0].map(swapped), port: 40_000 },
    remote: { family: 4, words: [0x0a09_0002, 0, 0, 0].map(swapped), port: 80 },
    state: "01",
  });
  const [v6] = parseSockets(
    [head, line("B80D0120000000000000000001000000:9C40", `${"0".repeat(32)}:0050`, "01")].join(
      "\n",
    ),
  );
  assert.equal(v6?.local.family, 6);
  assert.deepEqual(v6.local.words, [0x2001_0db8, 0, 0, 1].map(swapped));
});

test("an IPv4 connection of an IPv6 socket is an IPv4 connection", () => {
  const mapped = "0000000000000000FFFF00000100090A:9C40";
  const [socket] = parseSockets([head, line(mapped, mapped, "01")].join("\n"));
  assert.equal(socket?.local.family, 4);
  assert.deepEqual(socket.local.words, [swapped(0x0a09_0001), 0, 0, 0]);
});

test("connections that came from outside, and sockets without a peer, are left to the rules", () => {
  const remote = "0200090A:0050";
  const sockets = parseSockets(
    [
      head,
      line("00000000:1F90", "00000000:0000", "0A"),
      line("0100090A:1F90", remote, "01"),
      line("0100090A:9C40", remote, "01"),
      line("0100090A:9C41", remote, "06"),
      line("0100090A:9C42", remote, "02"),
      line("0100090A:9C43", remote, "04"),
      line("00000000:9C44", "00000000:0000", "07"),
    ].join("\n"),
  );
  assert.deepEqual(
    openedSockets(sockets).map(({ local }) => local.port),
    [0x9c40, 0x9c42, 0x9c43],
  );
});

function swapped(word: number): number {
  return Buffer.from([
    word >>> 24,
    (word >>> 16) & 255,
    (word >>> 8) & 255,
    word & 255,
  ]).readUInt32LE();
}
