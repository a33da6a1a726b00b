import { Harness, sourceCount } from "./harness.js";
import { testRun } from "../datapath/index.js";
import { Sluice, largestAddressTable, loopback } from "./sluice.js";
import { XdpFilter } from "./xdp-filter.js";
import { randomV4, seededRandom, v4Sources } from "./addresses.js";
import { eth, ipv4, packet } from "../test/support/packets.js";
import { tcp } from "../test/support/transports.js";
import { policy, rule } from "../test/oracle/build.js";
const h = await Harness.open();
const p = packet(eth(), ipv4(), tcp({destinationPort: 443}));
const random = seededRandom(7);
const one = { family: 4 as const, words: new Uint32Array(sourceCount.v4).fill(0x01020304) };
for (const repeat of [2, 2, 2, 200000, 1000000]) {
  const c = process.cpuUsage(); const t0 = performance.now();
  const r = testRun(h.emptyPass, { packet: p, context: { ingress: loopback }, repeat });
  const d = process.cpuUsage(c);
  console.log(repeat, "cpu us", d.user + d.system, "wall ms", performance.now() - t0, "dur", r.durationNs);
}
const n = 1000000;
for (let i = 0; i < 5; i++) {
  console.log("plain pass", h.time(h.emptyPass, p, undefined, n).toFixed(2), "drop", h.time(h.emptyDrop, p, undefined, n).toFixed(2),
   "harness", h.time(h.emptyPass, p, one, n).toFixed(2), "drop", h.time(h.emptyDrop, p, one, n).toFixed(2));
}
const t0 = performance.now();
const s = await Sluice.open();
console.log("open", performance.now() - t0);
s.judge(loopback);
await s.apply({ policies: [], failSafe: [] });
const show = (what: string, f: () => number) => { const xs = Array.from({length: 7}, f).sort((a,b)=>a-b); console.log(what.padEnd(40), xs[0]!.toFixed(2), xs[3]!.toFixed(2)); };
show("sluice not judged", () => h.time(s.datapath.uplink, p, undefined, n));
await s.apply({ policies: [policy("p", [])], failSafe: [] });
show("sluice empty policy, no failsafe", () => h.time(s.datapath.uplink, p, undefined, n));
await s.apply({ policies: [policy("p", [])] });
show("sluice empty policy", () => h.time(s.datapath.uplink, p, undefined, n));
const from = [{ kind: "cidr" as const, cidr: { family: 4 as const, address: 0xc0000201, length: 32 }, except: [] }];
await s.apply({ policies: [policy("p", [rule("d", "Drop", {from})])], failSafe: [] });
show("sluice exact drop, no failsafe", () => h.time(s.datapath.uplink, p, undefined, n));
await s.apply({ policies: [policy("p", [rule("d", "Drop", {from})])] });
show("sluice exact drop", () => h.time(s.datapath.uplink, p, undefined, n));
const x1 = await XdpFilter.open({ v4: Uint32Array.of(0xc0000201) });
show("xdp-filter 1", () => h.time(x1.program, p, undefined, n));
x1.close(); await s.close();
const entries = randomV4(1_000_000, random);
const x = await XdpFilter.open({ v4: entries });
const big = await Sluice.open(largestAddressTable);
big.judge(loopback);
const list = { v4: { address: entries, length: new Uint8Array(entries.length).fill(32), expiresAt: undefined }, v6: { high: new BigUint64Array(), low: new BigUint64Array(), length: new Uint8Array(), expiresAt: undefined } };
const fromSet = [{ kind: "cidrSet" as const, setName: "s" }];
const e = await Sluice.open(); e.judge(loopback);
await e.apply({ policies: [policy("p", [rule("d", "Drop", {from: fromSet})])] });
const t1 = performance.now();
await big.apply({ policies: [policy("p", [rule("d", "Drop", {from: fromSet})])], sets: new Map([["s", list]]) });
console.log("apply 1M", performance.now() - t1);
const en = await Sluice.open(); en.judge(loopback);
await en.apply({ failSafe: [], policies: [policy("p", [rule("d", "Drop", {from: fromSet})])] });
const bn = await Sluice.open(largestAddressTable); bn.judge(loopback);
await bn.apply({ failSafe: [], policies: [policy("p", [rule("d", "Drop", {from: fromSet})])], sets: new Map([["s", list]]) });
for (const kinship of ["entry", "stranger", "neighbour", "legitimate"] as const) {
  const sources = { family: 4 as const, words: v4Sources(entries, kinship, sourceCount.v4, random) };
  show("floor", () => h.time(h.emptyDrop, p, sources, n));
  const a = big.verdicts(), ax = x.verdicts();
  show("sluice 1M " + kinship, () => h.time(big.datapath.uplink, p, sources, n));
  show("sluice 1M nofs " + kinship, () => h.time(bn.datapath.uplink, p, sources, n));
  show("sluice empty set " + kinship, () => h.time(e.datapath.uplink, p, sources, n));
  show("sluice empty set nofs " + kinship, () => h.time(en.datapath.uplink, p, sources, n));
  show("xdp-filter 1M " + kinship, () => h.time(x.program, p, sources, n));
  console.log(a, big.verdicts(), ax, x.verdicts());
}
x.close(); await big.close(); await e.close(); await en.close(); await bn.close(); h.close();
