import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { admit } from "./admit.js";
import { formatCidr } from "./cidr-format.js";

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
      internalAddresses: [
        { family: 4, address: 0x0a4d000b, length: 32 },
        { family: 6, high: 0xfd77_0000_0000_0000n, low: 0x11n, length: 128 },
      ],
      createdAtMs: 0,
      podCidrs: [{ family: 4, address: 0x0af40000, length: 24 }],
      isLeaving: false,
    });
  });

  it("may have neither labels nor addresses", () => {
    const { admitted } = admitNode("{name: node1}");
    assert.deepEqual(admitted?.draft, {
      kind: "Node",
      name: "node1",
      labels: {},
      addresses: [],
      internalAddresses: [],
      createdAtMs: 0,
      podCidrs: [],
      isLeaving: false,
    });
  });

  it("gives the pod CIDRs of both families", () => {
    const podCidrs = (spec: string) => {
      const { admitted, problems } = admitNode(`{name: a}, spec: ${spec}`);
      assert.ok(admitted?.draft.kind === "Node", JSON.stringify(problems));
      return admitted.draft.podCidrs.map(formatCidr);
    };
    assert.deepEqual(
      podCidrs("{podCIDR: 10.244.1.0/24, podCIDRs: [10.244.1.0/24, 'fd00:1::/64']}"),
      ["10.244.1.0/24", "fd00:1::/64"],
    );
    assert.deepEqual(podCidrs("{podCIDRs: []}"), []);
  });

  it("is leaving when it is deleted or the autoscaler says so", () => {
    const isLeaving = (yaml: string) => {
      const { admitted } = admitNode(yaml);
      return admitted?.draft.kind === "Node" && admitted.draft.isLeaving;
    };
    assert.equal(isLeaving("{name: a, deletionTimestamp: '2026-01-01T00:00:00Z'}"), true);
    const tainted = (key: string) =>
      `{name: a}, spec: {taints: [{key: ${key}, effect: NoSchedule}]}`;
    assert.equal(isLeaving(tainted("ToBeDeletedByClusterAutoscaler")), true);
    assert.equal(isLeaving(tainted("node.kubernetes.io/unschedulable")), false);
  });

  it("tells by which addresses nodes reach it, and how old it is", () => {
    const { admitted } = admitNode(`{name: a, creationTimestamp: "2026-01-01T00:00:00Z"},
      status: {addresses: [
        {type: ExternalIP, address: 192.0.2.7},
        {type: InternalIP, address: "fd77::11"},
        {type: InternalIP, address: 10.77.0.11}]}`);
    assert.ok(admitted?.draft.kind === "Node");
    const { internalAddresses, createdAtMs } = admitted.draft;
    assert.deepEqual(internalAddresses.map(formatCidr), ["fd77::11/128", "10.77.0.11/32"]);
    assert.equal(createdAtMs, Date.UTC(2026, 0, 1));
    const bySeconds = admitNode("{name: a, creationTimestamp: {seconds: 1767225600}}").admitted;
    assert.ok(bySeconds?.draft.kind === "Node");
    assert.equal(bySeconds.draft.createdAtMs, createdAtMs);
  });

  it("has another digest when its pod CIDRs change", () => {
    const withCidr = (cidr: string) =>
      admitNode(`{name: a}, spec: {podCIDRs: [${cidr}]}`).admitted?.digest;
    assert.notEqual(withCidr("10.244.1.0/24"), withCidr("10.244.2.0/24"));
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
    assert.equal(admitNode("{name: a}, spec: {podCIDRs: text}").admitted, undefined);
    assert.equal(admitNode("{name: a}, spec: {podCIDRs: [10.0.0.0/33]}").admitted, undefined);
  });
});
