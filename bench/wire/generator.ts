/**
 * The sending process: in the namespace and on the CPU that its parent chose. Each message is a {@link Flood}; the
 * answer comes when its last frame was sent.
 */
import { fileURLToPath } from "node:url";
import { BpfObject, closeFd, ifIndex, MappedArray, testRunLive } from "../../datapath/index.js";
import { eth, ipv4, packet } from "../../test/support/packets.js";
import { udp } from "../../test/support/transports.js";
import { seededRandom, v4Sources } from "../addresses.js";
import "../cleanup.js";
import { manyEntries, oneEntry } from "./entries.js";

/** Frames to send. */
export interface Flood {
  /** Of the sending end of a wire. */
  readonly ifIndex: number;
  readonly frames: number;
  readonly sources: "one" | "many";
}

const object = fileURLToPath(new URL("../../bpf/flood.o", import.meta.url));
/** The most the kernel takes, and as many as a veth's ring holds. */
const batch = 256;
const ipAt = 14;
const sourceAt = ipAt + 12;

const frame = packet(eth(), ipv4({ source: "0.0.0.0", checksum: 0 }), udp({ checksum: 0 }), {
  encode: () => Buffer.alloc(18),
});

const opened = BpfObject.open(object);
opened.setGlobal("header_sum", headerSum(frame));
await opened.load();
const program = opened.takeProgram("flood");
const fd = opened.takeMap("sources");
const table = new MappedArray(fd);
closeFd(fd);
opened.close();

const count = table.u32.length;
const lists = {
  one: v4Sources(oneEntry(), "entry", count, seededRandom(11)),
  many: v4Sources(manyEntries(), "entry", count, seededRandom(11)),
};

process.on("message", ({ ifIndex: index, frames, sources }: Flood) => {
  table.u32.set(lists[sources]);
  const packet = Buffer.from(frame);
  testRunLive(program, { packet, context: { ingress: ifIndex(index) }, repeat: frames }, batch);
  process.send?.("sent");
});
process.send?.("ready");

function headerSum(bytes: Buffer): number {
  let sum = 0;
  for (let at = ipAt; at < ipAt + 20; at += 2) {
    if (at < sourceAt || at >= sourceAt + 4) sum += bytes.readUInt16LE(at);
  }
  return sum;
}
