/**
 * A policy that uses most of what the uplink program can do, as table rows, and packets that show
 * it.
 */

import { BpfCpumapVal, Reason, uplinkMaps, Verdict } from "../../datapath/generated/layout.js";
import { ifIndex, MappedArray } from "../../datapath/index.js";
import { parseCidr } from "../oracle/address.js";
import { limit, policy, rule } from "../oracle/build.js";
import { arp, eth, ipv4, ipv6, packet, payload, vlan } from "../support/packets.js";
import { tcp, udp } from "../support/transports.js";
import { openUplink } from "../uplink/harness.js";
import type { PacketRun } from "./checks.js";
import { filledRows, indexKey, updateRow } from "./table-rows.js";

const cidr = (text: string) => ({ kind: "cidr" as const, cidr: parseCidr(text), except: [] });
const port = (number: number) => ({ start: number, end: number });

const edge = policy(
  "edge",
  [
    rule("known-bad", "Drop", {
      from: ["198.51.100.0/24", "203.0.113.7/32", "2001:db8:bad::/48", "2001:db8:1:2::3/128"].map(
        cidr,
      ),
      logOneIn: 1,
    }),
    // A second packet within a minute is above the rate, however slow the guest is.
    rule("slow", limit({ unit: "bytes", rate: 1, burst: 100, per: "SourceAddress" }), {
      protocols: [{ kind: "udp" }],
    }),
    rule("dns", "Accept", { protocols: [{ kind: "udp", destinationPort: port(53) }] }),
    rule("spread", "Redirect", { protocols: [{ kind: "tcp", destinationPort: port(8080) }] }),
    rule("web", "Accept", { protocols: [{ kind: "tcp", destinationPort: port(443) }] }),
  ],
  { defaultAction: "Drop" },
);

/**
 * Commands of bpftool that put the policy in force on the loopback, by which test runs arrive. The
 * rows are those that the agent's own code writes on the running kernel.
 */
export async function edgeTables(): Promise<readonly string[]> {
  const uplink = await openUplink();
  try {
    await uplink.apply({ policies: [edge], eventsPerSecond: 100 });
    uplink.bind(ifIndex(1), "eth0");
    const rows = Object.entries(uplinkMaps).flatMap(([key, { name }]) => {
      const part: unknown = uplink.datapath[key as keyof typeof uplink.datapath];
      return part instanceof MappedArray ? filledRows("uplink", name, part) : [];
    });
    const queue = new DataView(new ArrayBuffer(BpfCpumapVal.size));
    BpfCpumapVal.encode({ qsize: 64, bpfProg: 0 }, queue, 0);
    return [...rows, updateRow("uplink", "cpus", indexKey(0), new Uint8Array(queue.buffer))];
  } finally {
    await uplink.close();
  }
}

const DROP = 1;
const PASS = 2;
const REDIRECT = 4;
/** TC_ACT_UNSPEC, −1. */
const GO_ON = 0xffffffff;

const web = tcp({ destinationPort: 443 });
const truncated = packet(eth(), ipv4(), web).subarray(0, 30);

const uplink = (name: string, returns: number, frame: Uint8Array): PacketRun => ({
  name,
  object: "uplink",
  program: "uplink",
  frame,
  returns,
});

/** Before the tables are filled. */
export const unjudgedRuns: readonly PacketRun[] = [
  uplink("not-judged", PASS, packet(eth(), ipv4(), web)),
  uplink("not-judged-truncated", PASS, truncated),
];

const reply = (sourcePort: number) =>
  packet(
    eth(),
    ipv4({ source: "192.0.2.9", destination: "192.0.2.1" }),
    tcp({ sourcePort, destinationPort: 40000, flags: ["SYN", "ACK"] }),
  );

/** Under the policy, in this order. */
export const judgedRuns: readonly PacketRun[] = [
  uplink("truncated", DROP, truncated),
  uplink("arp", PASS, packet(eth(), arp())),
  uplink("web", PASS, packet(eth(), ipv4(), web)),
  uplink("web-qinq", PASS, packet(eth(), vlan({ qinq: true }), vlan(), ipv4(), web)),
  uplink("web-v6", PASS, packet(eth(), ipv6(), web)),
  uplink("default", DROP, packet(eth(), ipv4(), tcp({ destinationPort: 81 }))),
  uplink("bad-net", DROP, packet(eth(), ipv4({ source: "198.51.100.200" }), web)),
  uplink("bad-net-neighbour", PASS, packet(eth(), ipv4({ source: "198.51.101.200" }), web)),
  uplink("bad-host", DROP, packet(eth(), ipv4({ source: "203.0.113.7" }), web)),
  uplink("bad-host-neighbour", PASS, packet(eth(), ipv4({ source: "203.0.113.8" }), web)),
  uplink("bad-net-v6", DROP, packet(eth(), ipv6({ source: "2001:db8:bad:1::1" }), web)),
  uplink("bad-host-v6", DROP, packet(eth(), ipv6({ source: "2001:db8:1:2::3" }), web)),
  uplink("bad-host-neighbour-v6", PASS, packet(eth(), ipv6({ source: "2001:db8:1:2::4" }), web)),
  uplink("within-limit", PASS, packet(eth(), ipv4(), udp(), payload(30))),
  uplink("above-limit", DROP, packet(eth(), ipv4(), udp(), payload(30))),
  uplink("spread", REDIRECT, packet(eth(), ipv4(), tcp({ destinationPort: 8080 }))),
  uplink("reply-to-nobody", DROP, reply(22)),
  {
    name: "connect",
    object: "uplink",
    program: "uplink_egress",
    frame: packet(
      eth(),
      ipv4({ source: "192.0.2.1", destination: "192.0.2.9" }),
      tcp({ sourcePort: 40000, destinationPort: 22 }),
    ),
    returns: GO_ON,
  },
  uplink("reply", PASS, reply(22)),
  uplink("reply-of-another", DROP, reply(23)),
];

/** Last: what it writes down is read from the `traces` map. */
export const tracedRun: PacketRun = {
  ...uplink("trace", PASS, packet(eth(), ipv4({ source: "203.0.113.7" }), web)),
  program: "uplink_trace",
};
export const tracedVerdict = { verdict: Verdict.VERDICT_DROP, reason: Reason.REASON_RULE } as const;
