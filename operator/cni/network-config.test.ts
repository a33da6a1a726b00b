import assert from "node:assert/strict";
import { test } from "node:test";
import { toFailure } from "./errors.js";
import { readNetworkConfig } from "./network-config.js";

const base = { cniVersion: "1.1.0", name: "sluice", type: "sluice" };
const read = (fields: object) => readNetworkConfig(JSON.stringify({ ...base, ...fields }));

test("the fields of a configuration are read", () => {
  const config = read({
    mtu: 1450,
    dns: { nameservers: ["10.96.0.10"] },
    runtimeConfig: {
      ips: ["10.0.0.9/24", "fd00::9"],
      mac: "02:AA:00:00:00:01",
      portMappings: [{ hostPort: 80, containerPort: 8080, protocol: "tcp" }],
      bandwidth: { ingressRate: 0, egressRate: 1000 },
    },
    "cni.dev/valid-attachments": [{ containerID: "a", ifname: "eth0" }],
  });
  assert.equal(config.mtu, 1450);
  assert.equal(config.wantedMac, "02:aa:00:00:00:01");
  assert.deepEqual(
    config.wantedAddresses.map(({ family, length }) => [family, length]),
    [
      [4, 32],
      [6, 128],
    ],
  );
  assert.deepEqual(config.bandwidth?.egress, { bitsPerSecond: 1000, burstBits: undefined });
  assert.equal(config.bandwidth.ingress, undefined);
  assert.deepEqual(config.ports, [
    { hostPort: 80, containerPort: 8080, protocol: "tcp", hostIp: undefined },
  ]);
  assert.deepEqual(config.dns, { nameservers: ["10.96.0.10"] });
  assert.deepEqual(config.valid, [{ containerId: "a", ifName: "eth0" }]);
  assert.deepEqual(read({ mtu: 0, runtimeConfig: null, dns: {} }).mtu, undefined);
});

test("what would change the treatment of packets and is not supported is code 2", () => {
  for (const fields of [
    { runtimeConfig: { infinibandGUID: "c2:11:22:33:44:55:66:77" } },
    { runtimeConfig: { ipRanges: [[{ subnet: "10.0.0.0/24" }]] } },
    { ipam: { type: "host-local" } },
  ]) {
    assert.throws(
      () => read(fields),
      (error) => toFailure(error, "1.1.0").code === 2,
      JSON.stringify(fields),
    );
  }
});

test("a wrong field is code 7 and named", () => {
  for (const [fields, field] of [
    [{ name: undefined }, "name"],
    [{ name: "a b" }, "name"],
    [{ type: "bridge" }, "type"],
    [{ mtu: 100 }, "mtu"],
    [{ mtu: "1500" }, "mtu"],
    [{ runtimeConfig: [] }, "runtimeConfig"],
    [{ runtimeConfig: { ips: "10.0.0.5" } }, "runtimeConfig.ips"],
    [{ runtimeConfig: { ips: ["10.0.0.5", "10.0.0.6"] } }, "runtimeConfig.ips"],
    [{ runtimeConfig: { ips: ["10.0.0.500"] } }, "runtimeConfig.ips"],
    [{ runtimeConfig: { mac: "01:00:5e:00:00:01" } }, "runtimeConfig.mac"],
    [{ runtimeConfig: { mac: "02:00" } }, "runtimeConfig.mac"],
    [{ "cni.dev/valid-attachments": {} }, "cni.dev/valid-attachments"],
    [{ "cni.dev/valid-attachments": [{ containerID: 5 }] }, "cni.dev/valid-attachments"],
  ] as const) {
    assert.throws(
      () => read(fields),
      (error) => {
        const { code, msg } = toFailure(error, "1.1.0");
        return code === 7 && msg.includes(`field ${field} `);
      },
      JSON.stringify(fields),
    );
  }
});

test("what is no JSON object is code 6, an unknown version code 1", () => {
  for (const [text, code] of [
    ["", 6],
    ["{", 6],
    ["[]", 6],
    ['{"cniVersion":"9.0.0","name":"a","type":"sluice"}', 1],
  ] as const) {
    assert.throws(
      () => readNetworkConfig(text),
      (error) => toFailure(error, "1.1.0").code === code,
    );
  }
});
