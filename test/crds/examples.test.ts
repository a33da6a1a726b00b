import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { Problem } from "../../operator/model/records.js";
import { ManifestFolder } from "../../operator/source/manifest-folder.js";
import type { SourceRecord } from "../../operator/source/source.js";

const FOLDER = fileURLToPath(new URL("../../../examples/policies/", import.meta.url));

describe("the example policies", () => {
  const records: SourceRecord[] = [];
  let problems: readonly Problem[] = [];

  before(async () => {
    const clusterKinds = ["NetworkPolicy", "ClusterNetworkPolicy"] as const;
    const source = new ManifestFolder(FOLDER, { clusterKinds });
    await source.start((event) => {
      if (event.type === "upsert") records.push(event.record);
      if (event.type === "problems") problems = event.problems;
    });
    await source.close();
  });

  it("are valid, without a warning", () => {
    assert.deepEqual(problems, []);
  });

  it("name only sets that are there", () => {
    const sets = new Set(
      records.flatMap((record) => (record.kind === "XdpCidrSet" ? record.setName : [])),
    );
    const named = records.flatMap((record) =>
      record.kind === "XdpPolicy"
        ? record.rules.flatMap(({ from, to }) =>
            [...from, ...to].flatMap((peer) => (peer.kind === "cidrSet" ? peer.setName : [])),
          )
        : [],
    );
    assert.deepEqual(
      named.filter((name) => !sets.has(name)),
      [],
    );
    assert.ok(named.length > 0);
  });

  it("show an audited policy, limits, a set and an allow-list, each with a place of its own", () => {
    const policies = records.filter((record) => record.kind === "XdpPolicy");
    assert.ok(policies.some(({ mode }) => mode === "Audit"));
    assert.ok(policies.some(({ defaultAction }) => defaultAction === "Drop"));
    const rules = policies.flatMap(({ rules }) => rules);
    assert.ok(rules.some(({ action }) => action.kind === "Limit"));
    assert.equal(new Set(policies.map(({ priority }) => priority)).size, policies.length);
  });
});
