/** A pod behind the loopback, by which test runs arrive, and packets that it sends. */

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  HostPort,
  HostPortKey,
  NodeAddress,
  Pod,
  PodInterface,
  PodKey,
  podMaps,
} from "../../datapath/generated/layout.js";
import { defaultBpffs, ifIndex, MappedArray } from "../../datapath/index.js";
import { HostPorts } from "../../operator/apply/host-ports.js";
import { parseCidr } from "../../operator/model/cidr.js";
import { openPods } from "../pods/harness.js";
import { arp, eth, fragment, ipv4, ipv6, type Layer, packet, payload } from "../support/packets.js";
import { icmp, sctp, tcp, udp } from "../support/transports.js";
import type { PacketRun } from "./checks.js";
import { encoded, filledRows, indexKey, updateRow } from "./table-rows.js";

const A = { ipv4: "10.1.0.1", ipv6: "fd00::1", mac: "02:00:00:00:01:01" };
const B = { ipv4: "10.1.0.2", ipv6: "fd00::2", mac: "02:00:00:00:01:02" };

/** Of the node: ports 5353 (UDP) and 8080 (SCTP) are b's 53. */
const NODE = "192.0.2.10";
const OUTSIDE = "198.51.100.7";

const port = (kind: "tcp" | "udp", number: number) => [
  { kind, destinationPort: { start: number, end: number } },
];

/**
 * Commands of bpftool for the pods' bank: `a` on the loopback may use TCP 443 and ping, `b` takes TCP 443 of IPv6 and
 * whatever is no TCP, also by ports of the node.
 */
export async function podTables(): Promise<readonly string[]> {
  const pinRoot = mkdtempSync(join(defaultBpffs, `slt-${process.pid}-pods-`));
  try {
    const pods = await openPods(pinRoot);
    try {
      pods.add({ name: "a", index: ifIndex(1), ...A });
      pods.add({ name: "b", index: ifIndex(2), ...B });
      await pods.apply([
        { rule: "web", action: "Accept", egressOf: ["a"], protocols: port("tcp", 443) },
        { rule: "dns", action: "Accept", egressOf: ["a"], protocols: port("udp", 53) },
        { rule: "ping", action: "Accept", egressOf: ["a"], protocols: [{ kind: "icmp", type: 8 }] },
        { rule: "closed", action: "Drop", egressOf: ["a"] },
        { rule: "v6", action: "Accept", ingressOf: ["b"], from: ["fd00::/64"] },
        { rule: "no-tcp", action: "Drop", ingressOf: ["b"], protocols: [{ kind: "tcp" }] },
      ]);
      const ports = [
        { hostPort: 5353, containerPort: 53, protocol: "udp", hostIp: undefined },
        { hostPort: 8080, containerPort: 53, protocol: "sctp", hostIp: undefined },
      ] as const;
      new HostPorts(pods.datapath).set([parseCidr(NODE)], [{ ...B, ports }]);
      const arrays = Object.entries(podMaps).flatMap(([key, { name }]) => {
        const part: unknown = pods.datapath[key as keyof typeof pods.datapath];
        return part instanceof MappedArray ? filledRows("pod", name, part) : [];
      });
      const interfaces = [...pods.datapath.podInterfaces.entries()].map(([index, row]) =>
        updateRow("pod", "pod_interfaces", indexKey(index), encoded(PodInterface, row)),
      );
      const addresses = [...pods.datapath.pods.entries()].map(([key, row]) =>
        updateRow("pod", "pods", encoded(PodKey, key), encoded(Pod, row)),
      );
      const own = [...pods.datapath.nodeAddresses.entries()].map(([key, row]) =>
        updateRow("pod", "node_addresses", encoded(PodKey, key), encoded(NodeAddress, row)),
      );
      const mapped = [...pods.datapath.hostPorts.entries()].map(([key, row]) =>
        updateRow("pod", "host_ports", encoded(HostPortKey, key), encoded(HostPort, row)),
      );
      return [...arrays, ...interfaces, ...addresses, ...own, ...mapped];
    } finally {
      await pods.close();
    }
  } finally {
    rmSync(pinRoot, { recursive: true });
  }
}

/** TC_ACT_UNSPEC, −1, and the two others that the programs return. */
const GO_ON = 0xffffffff;
const DROP = 2;
const REDIRECT = 7;

const run = (
  name: string,
  returns: number,
  frame: Uint8Array,
  program: "pod_out" | "pod_in" | "pod_arrive" = "pod_out",
): PacketRun => ({ name: `pod-${name}`, object: "pod", program, frame, returns });

/** The address of the loopback, which the guest's kernel takes for a packet's own. */
const head = eth({ source: A.mac, destination: "00:00:00:00:00:00" });
const v4 = (destination: string, ...inner: readonly Layer[]) =>
  packet(head, ipv4({ source: A.ipv4, destination }), ...inner);
const v6 = (destination: string, ...inner: readonly Layer[]) =>
  packet(head, ipv6({ source: A.ipv6, destination }), ...inner);
const web = tcp({ destinationPort: 443 });

export const unjudgedPodRuns: readonly PacketRun[] = [
  run("unknown", DROP, v4(B.ipv4, web)),
  run("unknown-in", DROP, v4(B.ipv4, web), "pod_in"),
];

const arrives = (source: string, destination: string, ...inner: readonly Layer[]) =>
  packet(head, ipv4({ source, destination }), ...inner);
const arrivals = (
  [
    ["arrives", REDIRECT, arrives(OUTSIDE, B.ipv4, icmp())],
    ["arrives-to-be-seen", GO_ON, arrives(OUTSIDE, B.ipv4, udp({ destinationPort: 53 }))],
    ["arrives-refused", DROP, arrives(OUTSIDE, B.ipv4, web)],
    ["arrives-forged", DROP, arrives(A.ipv4, B.ipv4, udp({ destinationPort: 53 }))],
    [
      "arrives-at-port",
      REDIRECT,
      arrives(OUTSIDE, NODE, udp({ sourcePort: 40001, destinationPort: 5353 })),
    ],
    ["arrives-at-sctp-port", REDIRECT, arrives(OUTSIDE, NODE, sctp({ destinationPort: 8080 }))],
    ["arrives-for-node", GO_ON, arrives(OUTSIDE, NODE, udp({ destinationPort: 53 }))],
  ] as const
).map(([name, returns, frame]) => run(name, returns, frame, "pod_arrive"));

export const judgedPodRuns: readonly PacketRun[] = [
  run("outside", GO_ON, v4("192.0.2.1", web)),
  run("outside-again", GO_ON, v4("192.0.2.1", tcp({ destinationPort: 443, flags: ["ACK"] }))),
  run("refused-out", DROP, v4("192.0.2.1", tcp({ destinationPort: 81 }))),
  run("refused-in", DROP, v4(B.ipv4, web)),
  run("delivered", REDIRECT, v4(B.ipv4, icmp())),
  run("delivered-v6", REDIRECT, v6(B.ipv6, web)),
  run("delivered-again-v6", REDIRECT, v6(B.ipv6, tcp({ destinationPort: 443, flags: ["ACK"] }))),
  run(
    "first-fragment-v6",
    REDIRECT,
    v6(B.ipv6, fragment({ more: true }), udp({ length: 24 }), payload(8)),
  ),
  run(
    "later-fragment-v6",
    REDIRECT,
    v6(B.ipv6, fragment({ offset: 16, nextHeader: 17 }), payload(8)),
  ),
  run("itself", REDIRECT, v4(A.ipv4, tcp({ destinationPort: 81 }))),
  run("spoofed", DROP, packet(head, ipv4({ source: B.ipv4, destination: "192.0.2.1" }), web)),
  run("arp", GO_ON, packet(head, arp())),
  run("truncated", DROP, v4("192.0.2.1", web).subarray(0, 40)),
  ...arrivals,
  run("to-port", REDIRECT, v4(NODE, udp({ destinationPort: 5353 }))),
  run("of-the-node", GO_ON, v4(A.ipv4, web), "pod_in"),
];
