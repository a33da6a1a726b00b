import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { attachXdp, BpfObject, netnsPath, type Program, withNetns } from "../../datapath/index.js";
import { makeScratchFolder } from "../cleanup.js";
import { formatV4 } from "../ipv4-text.js";
import { blockingWorld } from "../packets/subjects.js";
import { Sluice } from "../sluice.js";
import { XdpFilter } from "../xdp-filter.js";
import type { Wire } from "./wire.js";

/** Something that drops what comes from a set of addresses. */
export interface DropSubject {
  readonly name: string;
  /** Puts it on the receiving end of a wire; returns the count of packets that it dropped. */
  install(wire: Wire, entries: Uint32Array): (() => number) | Promise<() => number>;
}

const emptyObject = fileURLToPath(new URL("../../bpf/harness.o", import.meta.url));
/** Entries per line of a script. */
const chunk = 5000;
/** A power of two above a million. */
const mostEntries = 1_048_576;

export const emptyDrop: DropSubject = {
  name: "empty XDP_DROP",
  async install(wire) {
    const object = BpfObject.open(emptyObject);
    object.selectPrograms(["empty_drop"]);
    await object.load();
    attach(object.takeProgram("empty_drop"), wire);
    object.close();
    return () => xdpDrops(wire);
  },
};

export const sluiceDrop: DropSubject = {
  name: "Sluice",
  async install(wire, entries) {
    const firewall = await Sluice.open();
    firewall.judge(wire.receiver.index);
    await firewall.apply(blockingWorld(entries));
    attach(firewall.program, wire);
    return () => firewall.verdicts().drop;
  },
};

export const xdpFilterDrop: DropSubject = {
  name: "xdp-filter",
  async install(wire, entries) {
    const filter = await XdpFilter.open({ v4: entries });
    attach(filter.program, wire);
    return () => filter.verdicts().drop;
  },
};

export const nftablesDrop: DropSubject = {
  name: "nftables, netdev ingress, set",
  install(wire, entries) {
    const { name } = wire.receiver;
    const lines = [
      "add table netdev bench",
      "add counter netdev bench dropped",
      `add set netdev bench blocked { type ipv4_addr; size ${mostEntries}; }`,
      `add chain netdev bench ingress { type filter hook ingress device "${name}" priority 0; }`,
      "add rule netdev bench ingress ip saddr @blocked counter name dropped drop",
    ];
    for (let first = 0; first < entries.length; first += chunk) {
      const some = Array.from(entries.subarray(first, first + chunk), formatV4).join(", ");
      lines.push(`add element netdev bench blocked { ${some} }`);
    }
    runScript(wire, lines, (path) => ["nft", "-f", path]);
    return () => {
      const text = wire.run("nft", "list", "counter", "netdev", "bench", "dropped");
      return Number(/packets (\d+)/.exec(text)?.[1]);
    };
  },
};

export const ipsetDrop: DropSubject = {
  name: "iptables raw, ipset hash:ip",
  install(wire, entries) {
    const header = `create blocked hash:ip hashsize ${mostEntries} maxelem ${mostEntries}`;
    const lines = [header, ...Array.from(entries, (entry) => `add blocked ${formatV4(entry)}`)];
    runScript(wire, lines, (path) => ["ipset", "restore", "-file", path]);
    const match = ["-m", "set", "--match-set", "blocked", "src"];
    wire.run("iptables", "-t", "raw", "-A", "PREROUTING", ...match, "-j", "DROP");
    return () => {
      const text = wire.run("iptables", "-t", "raw", "-nvxL", "PREROUTING");
      return Number(/^\s*(\d+)\s+\d+\s+DROP\b/m.exec(text)?.[1]);
    };
  },
};

/** The link of this process holds the program; both go when it ends. */
function attach(program: Program, { receiver }: Wire): void {
  withNetns(netnsPath(receiver.namespace), () =>
    attachXdp(program, receiver.index, { mode: "native" }),
  );
}

function xdpDrops(wire: Wire): number {
  const text = wire.run("ethtool", "-S", wire.receiver.name);
  return Number(/rx_queue_0_xdp_drops: (\d+)/.exec(text)?.[1]);
}

function runScript(
  wire: Wire,
  lines: readonly string[],
  command: (path: string) => readonly [string, ...string[]],
): void {
  const { path, remove } = makeScratchFolder();
  const script = `${path}/script`;
  writeFileSync(script, `${lines.join("\n")}\n`);
  wire.run(...command(script));
  remove();
}
