import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { admit } from "./admit.js";

function admitNode(yaml: string) {
  const value: unknown = parse(`{apiVersion: v1, kind: Node, metadata: ${yaml}}`);
  return admit({ value, origin: { source: "test.yaml" } }, 0);
}

describe("a Node", () => {
  it("gives its labels and its internal and external addresses, each once", () => {
    const { admitted, problems } = admitNode(`{name: node1, labels: {role: edge}, uid: x},
      spec: {podCIDR: 10.244.0.0/24},
      status: {nodeInfo: {}, addresses: [
        {type: Hostname, address: node1},
        {type: InternalIP, address: 10.77.0.11},
        {type: ExternalIP, address: 10.77.0.11},
        {type: InternalIP, address: "fd77::11"}]}`);
    assert.deepEqual(problems, []);
    assert.deepEqual(admitted?.draft, {
      kind: "Node",
      name: "node1",
      labels: { role: "edge" },
      addresses: [
        { family: 4, address: 0x0a4d000b, length: 32 },
        { family: 6, high: 0xfd77_0000_0000_0000n, low: 0x11n, length: 128 },
      ],
    });
  });

  it("may have neither labels nor addresses", () => {
    const { admitted } = admitNode("{name: node1}");
    assert.deepEqual(admitted?.draft, { kind: "Node", name: "node1", labels: {}, addresses: [] });
  });

  it("does not change its digest with its heartbeat", () => {
    const at = (time: string) =>
      admitNode(`{name: a}, status: {conditions: [{lastHeartbeatTime: "${time}"}]}`).admitted
        ?.digest;
    assert.equal(at("1"), at("2"));
  });

  it("is refused with each field that is wrong", () => {
    const { admitted, problems } = admitNode(`{name: node1, labels: {role: 1}},
      status: {addresses: [{type: InternalIP, address: node1}, {type: InternalIP}, 3]}`);
    assert.equal(admitted, undefined);
    assert.deepEqual(
      problems.map(({ field }) => field),
      ["metadata.labels.role", "status.addresses[0].address", "status.addresses[1].address"],
    );
    assert.equal(admitNode("{name: a, labels: text}").admitted, undefined);
    assert.equal(admitNode("{name: a}, status: {addresses: {}}").admitted, undefined);
  });
});
