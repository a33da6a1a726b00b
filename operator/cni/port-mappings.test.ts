import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Attachment, hostNameOf } from "./attachment.js";
import { AttachmentStore } from "./attachment-store.js";
import { toFailure } from "./errors.js";
import { formatAlias, parseAlias } from "./link-alias.js";
import { describePort, overlaps, type PortMapping, readPortMappings } from "./port-mappings.js";

const mapping = (fields: Partial<PortMapping> = {}): PortMapping => ({
  hostPort: 8080,
  containerPort: 80,
  protocol: "tcp",
  hostIp: undefined,
  ...fields,
});

test("mappings are read as runtimes write them", () => {
  assert.deepEqual(
    readPortMappings([
      { hostPort: 8080, containerPort: 80, protocol: "tcp" },
      { hostPort: 8080, containerPort: 80, protocol: "UDP", hostIP: "" },
      { hostPort: 53, containerPort: 53, protocol: "sctp", hostIP: "2001:DB8::1" },
      { hostPort: 81, containerPort: 81 },
      { hostPort: 0, containerPort: 82, protocol: "tcp" },
    ]),
    [
      mapping(),
      mapping({ protocol: "udp" }),
      mapping({ hostPort: 53, containerPort: 53, protocol: "sctp", hostIp: "2001:db8::1" }),
      mapping({ hostPort: 81, containerPort: 81 }),
    ],
  );
  for (const nothing of [undefined, null, []]) assert.deepEqual(readPortMappings(nothing), []);
});

test("what is wrong is code 7, and quoted", () => {
  for (const [value, quoted] of [
    [{}, /list/],
    [[1], /objects/],
    [[{ hostPort: 70000, containerPort: 1 }], /hostPort from 1/],
    [[{ hostPort: -1, containerPort: 1 }], /hostPort from 1/],
    [[{ hostPort: 1 }], /containerPort/],
    [[{ hostPort: 1, containerPort: 1, protocol: "icmp" }], /tcp, udp, sctp/],
    [[{ hostPort: 1, containerPort: 1, hostIP: "node" }], /hostIP/],
    [[{ hostPort: 1, containerPort: 1, hostIP: "10.0.0.0/8" }], /hostIP/],
    [
      [
        { hostPort: 1, containerPort: 1 },
        { hostPort: 1, containerPort: 2, hostIP: "10.0.0.1" },
      ],
      /two uses of hostPort 1\/tcp of 10.0.0.1/,
    ],
  ] as const) {
    assert.throws(
      () => readPortMappings(value),
      (error) => {
        const { code, msg } = toFailure(error, "1.1.0");
        assert.match(msg, quoted);
        return code === 7;
      },
      JSON.stringify(value),
    );
  }
});

test("two mappings want the same when a packet could be for either", () => {
  for (const [a, b, expected] of [
    [{}, {}, true],
    [{}, { containerPort: 81 }, true],
    [{}, { hostPort: 81 }, false],
    [{}, { protocol: "udp" }, false],
    [{}, { hostIp: "10.0.0.1" }, true],
    [{ hostIp: "10.0.0.1" }, { hostIp: "10.0.0.1" }, true],
    [{ hostIp: "10.0.0.1" }, { hostIp: "10.0.0.2" }, false],
    [{ hostIp: "0.0.0.0" }, { hostIp: "10.0.0.2" }, true],
    [{ hostIp: "0.0.0.0" }, { hostIp: "2001:db8::1" }, false],
    [{ hostIp: "0.0.0.0" }, { hostIp: "::" }, false],
    [{ hostIp: "::" }, { hostIp: "2001:db8::1" }, true],
  ] as const) {
    assert.equal(overlaps(mapping(a), mapping(b)), expected, JSON.stringify([a, b]));
    assert.equal(overlaps(mapping(b), mapping(a)), expected, JSON.stringify([b, a]));
  }
  assert.equal(describePort(mapping({ hostIp: "10.0.0.1" })), "hostPort 8080/tcp of 10.0.0.1");
});

test("they survive on disk and in the alias of the link, beside limits", async () => {
  const id = { containerId: "c".repeat(64), ifName: "eth0" };
  const attachment: Attachment = {
    ...id,
    network: "sluice",
    netns: "/run/netns/x",
    hostName: hostNameOf(id),
    mac: "02:00:00:00:00:01",
    mtu: 1500,
    addresses: { ipv4: "10.1.0.2", ipv6: "fd00::2" },
    pod: { namespace: "default", name: "a", uid: "123e4567-e89b-12d3-a456-426614174000" },
  };
  const folder = mkdtempSync(join(tmpdir(), "sluice-ports-"));
  const store = new AttachmentStore(folder);
  const bandwidth = {
    ingress: { bitsPerSecond: 1000, burstBits: undefined },
    egress: undefined,
  };
  try {
    for (const fields of [
      { ports: [mapping(), mapping({ protocol: "udp", hostIp: "192.0.2.1" })] },
      { ports: [mapping({ hostIp: "2001:db8::1" })], bandwidth },
      { bandwidth },
      {},
    ]) {
      const one: Attachment = { ...attachment, ...fields };
      await store.begin(one);
      await store.finish(one);
      const [stored] = (await store.load()).attachments;
      assert.deepEqual(stored?.attachment.ports, one.ports);
      const found = parseAlias(one.hostName, formatAlias(one), 1500);
      assert.deepEqual(found?.ports, one.ports);
      assert.deepEqual(found?.bandwidth, one.bandwidth);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
