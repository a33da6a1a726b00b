import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Attachment, fileNameOf, hostNameOf } from "./attachment.js";
import { AttachmentStore } from "./attachment-store.js";
import { type Bandwidth, readBandwidth } from "./bandwidth.js";
import { toFailure } from "./errors.js";
import { formatAlias, parseAlias } from "./link-alias.js";

test("rates and bursts are those of the pod's directions", () => {
  assert.deepEqual(
    readBandwidth({ ingressRate: 1000, ingressBurst: 8000, egressRate: 20_000_000 }),
    {
      ingress: { bitsPerSecond: 1000, burstBits: 8000 },
      egress: { bitsPerSecond: 20_000_000, burstBits: undefined },
    },
  );
  for (const none of [undefined, null, {}, { ingressRate: 0, egressRate: 0, egressBurst: 0 }]) {
    assert.equal(readBandwidth(none), undefined);
  }
});

test("the largest number that a runtime has is no burst", () => {
  for (const ingressBurst of [2 ** 31 - 1, 2 ** 32 - 1]) {
    assert.deepEqual(readBandwidth({ ingressRate: 1000, ingressBurst }), {
      ingress: { bitsPerSecond: 1000, burstBits: undefined },
      egress: undefined,
    });
  }
});

test("a wrong field is code 7 and named", () => {
  for (const [value, field] of [
    [[], "runtimeConfig.bandwidth"],
    ["10M", "runtimeConfig.bandwidth"],
    [{ ingressRate: -1 }, "ingressRate"],
    [{ egressRate: 1.5 }, "egressRate"],
    [{ egressRate: "10M" }, "egressRate"],
    [{ egressRate: 1e16 }, "egressRate"],
    [{ egressRate: 10, egressBurst: -1 }, "egressBurst"],
    [{ ingressBurst: 10 }, "ingressRate"],
  ] as const) {
    assert.throws(
      () => readBandwidth(value),
      (error) => {
        const { code, msg } = toFailure(error, "1.1.0");
        assert.match(msg, new RegExp(field));
        return code === 7;
      },
      JSON.stringify(value),
    );
  }
});

const id = { containerId: "c".repeat(64), ifName: "eth0" };
const attachment: Attachment = {
  ...id,
  network: "sluice",
  netns: "/run/netns/a",
  hostName: hostNameOf(id),
  mac: "02:00:00:00:00:01",
  mtu: 1500,
  addresses: { ipv4: "10.244.255.254", ipv6: "fd00:1234:5678:9abc:def0:1234:5678:9abc" },
  pod: { namespace: "web", name: "server", uid: "01234567-89ab-cdef-0123-456789abcdef" },
};
const both: Bandwidth = {
  ingress: { bitsPerSecond: 1e15, burstBits: undefined },
  egress: { bitsPerSecond: 999_999_999_999_999, burstBits: 999_999_999_999_999 },
};

test("it is kept on disk, and on the link for when the disk is lost", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-bandwidth-"));
  try {
    const store = new AttachmentStore(folder);
    for (const bandwidth of [
      both,
      { ingress: undefined, egress: { bitsPerSecond: 1, burstBits: 8 } },
      undefined,
    ]) {
      const one = { ...attachment, ...(bandwidth !== undefined && { bandwidth }) };
      await store.begin(one);
      await store.finish(one);
      assert.ok(readFileSync(join(folder, `${fileNameOf(one)}.json`), "utf8").length > 0);
      assert.deepEqual((await store.load()).attachments[0]?.attachment.bandwidth, bandwidth);
      const alias = formatAlias(one);
      assert.ok(Buffer.byteLength(alias) <= 255, alias);
      const found = parseAlias(one.hostName, alias, one.mtu);
      assert.deepEqual(found?.bandwidth, bandwidth);
      assert.deepEqual(found?.addresses, one.addresses);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("an alias with something else behind the uid is not ours", () => {
  const alias = formatAlias(attachment);
  assert.ok(parseAlias(attachment.hostName, alias, 1500));
  for (const more of ["x", "1/2", "1:2/3:4 5"]) {
    assert.equal(parseAlias(attachment.hostName, `${alias} ${more}`, 1500), undefined, more);
  }
});
