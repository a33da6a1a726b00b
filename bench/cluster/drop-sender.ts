/** Sends a numbered datagram every half millisecond; answers when one was sent. */
import { createSocket } from "node:dgram";
import { monotonicMs, type SenderAnswer, type SenderRequest } from "./drop-messages.js";

const [from = "", to = "", port = ""] = process.argv.slice(2);
const pauseMs = 0.5;
/** Some minutes: a question about a datagram comes sooner. */
const kept = 1 << 19;

const timesMs = new Float64Array(kept);
const sleeper = new Int32Array(new SharedArrayBuffer(4));
let next = 0;

const socket = createSocket("udp4");
socket.on("error", () => undefined);
socket.bind(0, from, () => socket.connect(Number(port), to, send));

/** Timers of Node.js are no shorter than a millisecond. */
function send(): void {
  Atomics.wait(sleeper, 0, 0, pauseMs);
  const datagram = Buffer.allocUnsafe(4);
  datagram.writeUInt32LE(next);
  timesMs[next % kept] = monotonicMs();
  socket.send(datagram);
  next++;
  setImmediate(send);
}

process.on("message", ({ number }: SenderRequest) => {
  const answer: SenderAnswer = { sent: next, timeMs: timesMs[number % kept]! };
  process.send?.(answer);
});
process.on("disconnect", () => process.exit(0));
