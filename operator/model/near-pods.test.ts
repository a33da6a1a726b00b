import assert from "node:assert/strict";
import { it } from "node:test";
import { nearPods, nearPodsQuestion } from "./near-pods.js";

const keys = ["web/server-5d9f-x7k", "web/server-5d9f-abc", "db/client", "web/client", "db/main"];

it("names pods of other namespaces, mistyped ones, and those of a workload", () => {
  assert.deepEqual(nearPods("db/clent", keys), ["db/client"]);
  assert.deepEqual(nearPods("app/client", keys), ["db/client", "web/client"]);
  assert.deepEqual(nearPods("web/server", keys), ["web/server-5d9f-x7k", "web/server-5d9f-abc"]);
  assert.deepEqual(nearPods("app/server", keys), ["web/server-5d9f-x7k", "web/server-5d9f-abc"]);
  assert.equal(nearPodsQuestion("db/clent", keys), "Did you mean db/client?");
});

it("names five at most, and none where none is near", () => {
  const many = Array.from({ length: 20 }, (_, index) => `web/server-${index}`);
  assert.equal(nearPods("web/server", many).length, 5);
  assert.equal(nearPodsQuestion("kube-system/dns", keys), undefined);
});
