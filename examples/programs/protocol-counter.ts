import { fileURLToPath } from "node:url";
import {
  attachXdp,
  BpfObject,
  interfaceByName,
  PerCpuMap,
  sumCounters,
  u32,
  u64,
} from "sluice/datapath";

/**
 * Prints packets per second by IP protocol, once a second, until Ctrl-C.
 *
 *     node dist/examples/programs/protocol-counter.js INTERFACE
 */
const name = process.argv[2];
const device = name === undefined ? undefined : interfaceByName(name);
if (device === undefined) {
  console.error(`usage: protocol-counter INTERFACE (${name ?? "none"} is not an interface here)`);
  process.exit(2);
}

const file = fileURLToPath(new URL("../../bpf/protocol-counter.o", import.meta.url));
const object = BpfObject.open(file);
await object.load();
const program = object.takeProgram("protocol_counter");
const packets = new PerCpuMap(object.takeMap("packets"), u32, u64);
object.close();

const { mode } = attachXdp(program, device.index, { mode: "native", fallback: true });
console.log(`counting on ${device.name} in ${mode} mode; Ctrl-C ends it`);

const names: ReadonlyMap<number, string> = new Map([
  [1, "ICMP"],
  [6, "TCP"],
  [17, "UDP"],
  [47, "GRE"],
  [50, "ESP"],
  [58, "ICMPv6"],
  [132, "SCTP"],
]);

let before = sumCounters(packets);
let beforeMs = performance.now();
setInterval(() => {
  const now = sumCounters(packets);
  const nowMs = performance.now();
  const seconds = (nowMs - beforeMs) / 1000;
  const rates = [...now].flatMap((count, protocol) => {
    const difference = Number(count - (before[protocol] ?? 0n));
    if (difference === 0) return [];
    const label = names.get(protocol) ?? `protocol ${protocol}`;
    return [`${label} ${(difference / seconds).toFixed(1)} pkt/s`];
  });
  console.log(rates.length === 0 ? "nothing" : rates.join("  "));
  [before, beforeMs] = [now, nowMs];
}, 1000);
