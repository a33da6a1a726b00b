import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { ifIndex } from "../../datapath/index.js";
import { podRecord, type TestPod } from "../../test/support/policy-cluster.js";
import { LocalPodTable } from "./local-pod-table.js";
import type { PodLink } from "./pod-link.js";
import { PodObjects } from "./pod-objects.js";

const key = "web/a";
const place = { index: ifIndex(7), slotOut: 1, slotIn: 2 };
const link: PodLink = {
  hostName: "slc00000000001",
  mac: "02:00:00:00:00:01",
  addresses: { ipv4: "10.244.1.5", ipv6: "fd00::5" },
  pod: { namespace: "web", name: "a", uid: "1" },
};
const inHostOrder = 0x0a_f4_01_05;

let objects: PodObjects;
let table: LocalPodTable;
beforeEach(() => {
  objects = new PodObjects();
  table = new LocalPodTable(objects);
});

function tell(uid: string, pod: TestPod = {}): void {
  const record = { ...podRecord(key, pod), uid };
  table.podChanged(objects.submit({ type: "upsert", record }).pod!);
}

function tellStatic(uid: string, staticUid: string, pod: TestPod): void {
  const record = { ...podRecord(key, pod), uid, staticUid };
  table.podChanged(objects.submit({ type: "upsert", record }).pod!);
}

function tellDeleted(): void {
  const event = { type: "delete", kind: "Pod", namespace: "web", name: "a" } as const;
  table.podChanged(objects.submit(event).pod!);
}

describe("a pod of this node", () => {
  it("has the addresses of its link, for itself and as a peer, before its status has any", () => {
    tell("1");
    assert.equal(table.pods.get(key)?.ipv4, undefined);
    const entry = table.add(link, place);
    assert.equal(entry.record?.ipv4, inHostOrder);
    assert.deepEqual(table.pods.get(key)?.ipv6, { high: 0xfd00n << 48n, low: 5n });
    assert.equal(table.pods.get(key), entry.record);
  });

  it("keeps them when its status says others", () => {
    table.add(link, place);
    assert.deepEqual(table.subjects(), []);
    tell("1", { ips: ["10.0.0.9"], labels: { app: "a" } });
    const [entry] = table.subjects();
    assert.equal(entry?.record.ipv4, inHostOrder);
    assert.deepEqual(entry.record.labels, { app: "a" });
  });

  it("is not another one of its name", () => {
    const entry = table.add(link, place);
    tell("2", { ips: ["10.0.0.9"] });
    assert.equal(entry.record, undefined);
    assert.notEqual(table.pods.get(key)?.ipv4, inHostOrder);
    assert.deepEqual(table.subjects(), []);
  });

  it("is found by its uid alone", () => {
    tell("1");
    const pod = { namespace: undefined, name: undefined, uid: "1" };
    assert.equal(table.add({ ...link, pod }, place).record?.name, "a");
  });

  it("is a static one by the uid that its mirror names, whatever uid the mirror has", () => {
    const entry = table.add({ ...link, pod: { ...link.pod, uid: "file" } }, place);
    const labels = () => table.subjects().map(({ record }) => record.labels);
    tell("1");
    assert.deepEqual(labels(), []);
    tellStatic("1", "file", { labels: { app: "a" } });
    assert.deepEqual(labels(), [{ app: "a" }]);
    tellStatic("2", "file", { labels: { app: "b" } });
    assert.deepEqual(labels(), [{ app: "b" }]);
    assert.equal(entry.record?.staticUid, "file");
    const again = { ...link, pod: { namespace: undefined, name: undefined, uid: "file" } };
    assert.equal(table.add(again, place).record?.uid, "2");
  });

  it("is one of a manifest without uid by its name, and no other by that", () => {
    const entry = table.add(link, place);
    const alone = { namespace: undefined, name: undefined, uid: "1" };
    const nameless = table.add({ ...link, hostName: "slc00000000002", pod: alone }, place);
    tell("");
    assert.equal(entry.record?.name, "a");
    assert.equal(nameless.record, undefined);
  });

  it("is not taken for one that only names its uid", () => {
    tell("1");
    const alone = { namespace: undefined, name: undefined, uid: "1" };
    const entry = table.add({ ...link, pod: alone }, place);
    const record = { ...podRecord("web/b", {}), uid: "9", staticUid: "1" };
    table.podChanged(objects.submit({ type: "upsert", record }).pod!);
    assert.equal(entry.record?.name, "a");
    assert.equal(objects.find({ ...alone, namespace: "web", name: "a" })?.uid, "1");
  });

  it("is judged by its last record until it is detached, but no peer any more", () => {
    tell("1", { labels: { app: "a" } });
    const entry = table.add(link, place);
    tellDeleted();
    assert.equal(table.pods.has(key), false);
    assert.deepEqual(entry.record?.labels, { app: "a" });
    assert.equal(table.subjects().length, 1);
    table.remove(link.hostName);
    assert.equal(table.subjects().length, 0);
  });

  it("is named as changed when it comes, changes or goes, once", () => {
    tell("1");
    table.add(link, place);
    assert.deepEqual([...table.takeChanged()], [key]);
    assert.deepEqual([...table.takeChanged()], []);
    table.remove(link.hostName);
    assert.deepEqual([...table.takeChanged()], [key]);
    assert.equal(table.pods.get(key)?.ipv4, undefined);
  });
});

describe("waiting for a record", () => {
  const { pod } = link;
  const namespace = {
    kind: "Namespace",
    name: "web",
    origin: { source: "t" },
    labels: {},
  } as const;

  it("ends when the pod and its namespace are told", async () => {
    const waiting = objects.wait(pod, 5000, new AbortController().signal);
    tell("2");
    tell("1");
    objects.submit({ type: "upsert", record: namespace });
    assert.equal((await waiting)?.uid, "1");
  });

  it("ends without one when the time is up, or nobody wants it any more", async () => {
    tell("1");
    assert.equal(await objects.wait(pod, 1, new AbortController().signal), undefined);
    const ending = new AbortController();
    const waiting = objects.wait(pod, 60_000, ending.signal);
    ending.abort();
    assert.equal(await waiting, undefined);
  });
});
