/** Takes the datagrams of the sender; answers what came. */
import { createSocket } from "node:dgram";
import { monotonicMs, type ReceiverAnswer } from "./drop-messages.js";

const [address = "", port = ""] = process.argv.slice(2);
let last = -1;
let lastMs = 0;
let missedFrom = 0;

const socket = createSocket("udp4");
socket.on("message", (datagram) => {
  const number = datagram.readUInt32LE();
  if (number !== last + 1) missedFrom = last + 1;
  last = number;
  lastMs = monotonicMs();
});
socket.bind(Number(port), address);

process.on("message", () => {
  const answer: ReceiverAnswer = { last, missedFrom, silentMs: monotonicMs() - lastMs };
  process.send?.(answer);
});
process.on("disconnect", () => process.exit(0));
