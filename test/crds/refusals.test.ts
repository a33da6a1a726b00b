import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { formatPath } from "../../operator/model/finding.js";
import { type Cluster, startCluster } from "../support/cluster/cluster.js";
import { breakagesAt } from "./breakages.js";
import { completeObjects, type JsonObject } from "./complete-objects.js";
import { admitCopy, dryRun, forEachOf, refusedFields } from "./dry-run.js";
import { type Place, placesIn, replaceAt, schemaParts } from "./places.js";
import { type Break, ruleCases } from "./rule-cases.js";

let cluster: Cluster;
before(async () => {
  cluster = await startCluster();
  await cluster.installCrds();
});
after(() => cluster?.close());

/** Each part of the schemas once, at the first place where the complete objects have it. */
const places = new Map<string, Place>();
for (const place of completeObjects.flatMap(placesIn)) {
  if (!places.has(place.schemaPath)) places.set(place.schemaPath, place);
}

function casesOf(message: string): readonly Break[] {
  return Object.entries(ruleCases).find(([start]) => message.startsWith(start))?.[1] ?? [];
}

/** Asserts that server and agent refuse the object, both at the field or below it. */
async function assertRefused(
  object: JsonObject,
  field: string,
  serverSays: (message: string) => boolean,
): Promise<void> {
  const { accepted, refusals } = await dryRun(cluster, object);
  const told = refusals.map((refusal) => `${refusal.field}: ${refusal.message}`).join("\n");
  assert.equal(accepted, false, `the API server takes it; ${field} is wrong`);
  const isTold = refusals.some((refusal) => refusal.field === field && serverSays(refusal.message));
  assert.ok(isTold, `${field} is not what the API server names:\n${told}`);

  const admission = admitCopy(object);
  assert.equal(admission.admitted, undefined, `the agent takes it; ${field} is wrong`);
  const fields = refusedFields(admission);
  const isAtField = fields.some((at) => at === field || at.startsWith(`${field}.`));
  const isInList = fields.some((at) => at.startsWith(`${field}[`));
  assert.ok(isAtField || isInList, `the agent names ${fields.join(", ")}, not ${field}`);
}

describe("the API server", () => {
  it("takes objects with every field that there is, as the agent does", async () => {
    for (const object of completeObjects) {
      assert.deepEqual((await dryRun(cluster, object)).refusals, []);
      assert.deepEqual(admitCopy(object).problems, []);
    }
  });

  it("is tried at every part of the schemas", () => {
    const parts = ["XdpPolicy", "XdpCidrSet"].flatMap((kind) => [...schemaParts(kind)]);
    assert.deepEqual(
      parts.map(([path]) => path).filter((path) => !places.has(path)),
      [],
    );
  });

  it("fills in the same defaults as the agent", async () => {
    const spec = {
      priority: 1,
      ingress: [{ name: "a", action: "Limit", rateLimit: { packetsPerSecond: 1 } }],
    };
    for (const [kind, given] of [
      ["XdpPolicy", spec],
      ["XdpCidrSet", {}],
    ] as const) {
      const metadata = { name: "defaults" };
      const object = { apiVersion: "sluice.dev/v1alpha1", kind, metadata, spec: given };
      const { object: stored } = await dryRun(cluster, object);
      const { value } = admitCopy(object);
      assert.notDeepEqual(value["spec"], given);
      assert.deepEqual(stored?.["spec"], value["spec"]);
    }
  });
});

describe("each rule of the schemas is kept by the API server and by the agent", () => {
  for (const [schemaPath, place] of places) {
    for (const { message, fieldPath = "" } of place.schema["x-kubernetes-validations"] ?? []) {
      it(`${schemaPath}: ${message}`, async () => {
        const cases = casesOf(message);
        assert.ok(cases.length > 0, "the rule has no case in rule-cases.ts");
        const field = (formatPath(place.path) + fieldPath).replace(/^\./, "");
        for (const breakIt of cases) {
          const broken = replaceAt(place.object, place.path, breakIt(place.value as never));
          await assertRefused(broken, field, (said) => said.includes(message));
        }
      });
    }
  }

  it("and no case is without a rule", () => {
    const messages = [...places.values()].flatMap(({ schema }) =>
      (schema["x-kubernetes-validations"] ?? []).map(({ message }) => message),
    );
    assert.ok(messages.length > 30);
    assert.deepEqual(
      Object.keys(ruleCases).filter((start) => !messages.some((said) => said.startsWith(start))),
      [],
    );
  });
});

describe("each constraint of the schemas is kept by the API server and by the agent", () => {
  for (const [schemaPath, place] of places) {
    const breakages = breakagesAt(place);
    if (breakages.length === 0) continue;
    it(`${schemaPath}: ${breakages.map(({ keyword }) => keyword).join(", ")}`, async () => {
      await forEachOf(breakages, ({ object, field, says }) =>
        assertRefused(object, formatPath(field), (said) => says.test(said)),
      );
    });
  }
});
