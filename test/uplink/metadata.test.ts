/** The deciding rule travels in front of a passed packet, for tc programs behind the uplink program. */

import assert from "node:assert/strict";
import { after, it } from "node:test";
import { VerdictMetadata } from "../../datapath/generated/layout.js";
import { attachTcx, attachXdp } from "../../datapath/index.js";
import { limit, policy, rule } from "../oracle/build.js";
import { withNamespaces } from "../support/netns.js";
import { loadObject, mapArray } from "../support/objects.js";
import { arp, eth, ipv4, ipv6, macA, macB, packet, payload } from "../support/packets.js";
import { tcp, udp } from "../support/transports.js";
import { eventually } from "../support/eventually.js";
import { openUplink } from "./harness.js";
import { sendFrames } from "./raw-frames.js";

/** "SLC1": what other programs look for (datapath/bpf/types.h). */
const MAGIC = 0x534c4331;

const port = (kind: "tcp" | "udp", number: number) =>
  [{ kind, destinationPort: { start: number, end: number } }] as const;
const SETUP = {
  policies: [
    policy("edge", [
      rule("counted", limit({ rate: 1e6, burst: 1e6 })),
      rule("web", "Accept", { protocols: port("tcp", 80) }),
      rule("closed", "Drop", { protocols: port("tcp", 81) }),
      rule("let", "Pass", { protocols: port("tcp", 82) }),
    ]),
    policy("last", [rule("udp", "Accept", { protocols: port("udp", 53) })], { priority: 500 }),
  ],
} as const;

const uplink = await openUplink({ metadata: true });
after(() => uplink.close());
await uplink.apply(SETUP);

/** What stands in front of the packet after a run; undefined when the packet is all there is. */
function metadataOf(frame: Uint8Array): VerdictMetadata | undefined {
  const { packet: bytes } = uplink.run(frame);
  const size = bytes.length - frame.length;
  assert.deepEqual(bytes.subarray(size), Buffer.from(frame), "the frame itself is unchanged");
  if (size === 0) return undefined;
  assert.equal(size, VerdictMetadata.size);
  return VerdictMetadata.decode(new DataView(bytes.buffer, bytes.byteOffset, size), 0);
}

it("a packet that a rule passes carries the magic number and the rule's slot", () => {
  for (const [frame, policyName, ruleName] of [
    [packet(eth(), ipv4(), tcp()), "edge", "web"],
    [packet(eth(), ipv6(), tcp(), payload(900)), "edge", "web"],
    [packet(eth(), ipv4(), udp()), "last", "udp"],
  ] as const) {
    const found = metadataOf(frame);
    assert.equal(found?.magic, MAGIC);
    assert.deepEqual(uplink.slots.owner(found?.slot ?? 0), { policy: policyName, rule: ruleName });
  }
});

it("what no rule decided carries none: unmatched, passed on, not IP, dropped, not judged", () => {
  const frames = [
    packet(eth(), ipv4(), tcp({ destinationPort: 7 })),
    packet(eth(), ipv4(), tcp({ destinationPort: 82 })),
    packet(eth(), arp()),
    packet(eth(), ipv4(), tcp({ destinationPort: 81 })),
  ];
  for (const frame of frames) assert.equal(metadataOf(frame), undefined);
  const web = packet(eth(), ipv4(), tcp());
  assert.equal(uplink.run(web, "eth1").packet.length, web.length);
});

it("a tc program on the interface reads it off real packets", async (context) => {
  const object = await loadObject(context, "metadata-fixture");
  const seen = mapArray(context, object, "seen");
  const reader = object.takeProgram("read_metadata");
  context.after(() => reader.close());
  await withNamespaces(async (lab) => {
    const [node, client] = [lab.namespace("node"), lab.namespace("client")];
    const [index] = lab.veth(
      { namespace: node, name: "eth0", mac: macB },
      { namespace: client, name: "eth0", mac: macA },
    );
    uplink.bind(index, "eth0");
    const links = node.enter(() => [
      attachXdp(uplink.datapath.uplink, index, { mode: "native" }).link,
      attachTcx(reader, index, "ingress"),
    ]);
    lab.onCleanup(() => links.forEach((link) => link.close()));

    const record = () => [...seen.u32.subarray(0, 4)];
    const earlier = record()[0]!;
    const unmatched = packet(eth(), ipv4(), tcp({ destinationPort: 7 }));
    sendFrames(client, "eth0", [unmatched]);
    await eventually(() => assert.ok(record()[0]! > earlier, "the packet went by the reader"));
    assert.deepEqual(record().slice(1), [0, 0, 0]);

    sendFrames(client, "eth0", [packet(eth(), ipv4(), tcp()), unmatched]);
    const slot = uplink.slots.find({ policy: "edge", rule: "web" });
    await eventually(() => assert.deepEqual(record().slice(1), [1, MAGIC, slot]));
  });
});
