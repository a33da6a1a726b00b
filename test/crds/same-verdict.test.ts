import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { generateCase } from "../fuzz/generate.js";
import { worldToYaml } from "../fuzz/manifest.js";
import { createRandom } from "../fuzz/random.js";
import { type Cluster, startCluster } from "../support/cluster/cluster.js";
import { parseObjects } from "../support/cluster/apply.js";
import { completeObjects, type JsonObject } from "./complete-objects.js";
import { admitCopy, dryRun, forEachOf, refusedFields } from "./dry-run.js";
import { isLetThrough } from "./let-through.js";
import { mutateObject, NUMBERS, TEXTS } from "./mutate-object.js";
import { placesIn, replaceAt } from "./places.js";

const EXAMPLES = new URL("../../../examples/policies/", import.meta.url);
const SEED = 11;
const WORLDS = 60;
const MUTANTS = 500;

let cluster: Cluster;
before(async () => {
  cluster = await startCluster();
  await cluster.installCrds();
});
after(() => cluster?.close());

function ownObjects(yaml: string): readonly JsonObject[] {
  return parseObjects(yaml).filter(({ apiVersion }) => apiVersion.startsWith("sluice.dev/"));
}

const examples = readdirSync(EXAMPLES).flatMap((name) =>
  ownObjects(readFileSync(new URL(name, EXAMPLES), "utf8")),
);
const generated = Array.from({ length: WORLDS }, (_, index) =>
  ownObjects(worldToYaml(generateCase(SEED, index, 0).world)),
).flat();

/**
 * Asserts that server and agent agree on an object: accepted by both; or refused by both, and they
 * name a field in common; or let through by the server for one of the documented reasons.
 *
 * @returns whether both accept it
 */
async function assertAgree(object: JsonObject): Promise<boolean> {
  const [verdict, admission] = [await dryRun(cluster, object), admitCopy(object)];
  const problems = admission.problems.filter(({ severity }) => severity === "error");
  const text = () => JSON.stringify({ object, refusals: verdict.refusals, problems });
  if (verdict.accepted) {
    const isKnown = problems.every((problem) => isLetThrough(problem, object));
    assert.ok(isKnown, `the server takes what the agent refuses: ${text()}`);
    return admission.admitted !== undefined;
  }
  assert.equal(admission.admitted, undefined, `the agent takes what the server refuses: ${text()}`);
  const fields = refusedFields(admission);
  const isShared = verdict.refusals.some(({ field }) =>
    fields.some((at) => at.startsWith(field) || field.startsWith(at)),
  );
  assert.ok(isShared, `they name different fields: ${text()}`);
  return false;
}

describe("what one of them accepts, the other accepts too:", () => {
  it("the examples and objects of the fuzzer", async () => {
    assert.ok(examples.length >= 5);
    assert.ok(generated.length >= 200, `${generated.length}`);
    await forEachOf([...examples, ...generated], async (object) => {
      const { refusals, object: stored } = await dryRun(cluster, object);
      const { problems, value } = admitCopy(object);
      assert.deepEqual(refusals, [], JSON.stringify(object));
      assert.deepEqual(
        problems.filter(({ severity }) => severity === "error"),
        [],
      );
      assert.deepEqual(stored?.["spec"], value["spec"]);
    });
  });
});

describe("what one of them refuses, the other refuses too, at the same field:", () => {
  it("objects changed at random", async () => {
    const small = generated.filter((object) => JSON.stringify(object).length < 6000);
    const bases = [...completeObjects, ...examples, ...small];
    let accepted = 0;
    await forEachOf(
      Array.from({ length: MUTANTS }, (_, index) => createRandom(SEED, index)),
      async (random) => {
        let mutant = random.pick(bases);
        for (let count = random.weighted([4, 1], [1, 2]); count > 0; count--) {
          mutant = mutateObject(random, mutant);
        }
        if (await assertAgree(mutant)) accepted++;
      },
    );
    // A mutator that only ever breaks objects, or never does, would show nothing.
    assert.ok(accepted > MUTANTS / 10 && accepted < (MUTANTS * 9) / 10, `${accepted}`);
  });

  it("every notable text in every field of text, and number in every field of numbers", async () => {
    const seen = new Set<string>();
    const mutants = completeObjects.flatMap(placesIn).flatMap((place) => {
      // The same schemas stand elsewhere, and of an enum all texts but its own are wrong.
      const isTwin = /\.(to|udp|sctp|nodes)\b/.test(place.schemaPath);
      const { type, enum: values } = place.schema;
      if (isTwin || values !== undefined || seen.has(place.schemaPath)) return [];
      seen.add(place.schemaPath);
      const tried = type === "string" ? TEXTS : type === "integer" ? NUMBERS : [];
      return tried.map((value) => replaceAt(place.object, place.path, value));
    });
    assert.ok(mutants.length > 800, `${mutants.length}`);
    await forEachOf(mutants, async (mutant) => void (await assertAgree(mutant)));
  });

  it("names of objects", async () => {
    for (const name of [
      "a",
      "a.b",
      "a-b",
      "A",
      "a_b",
      "-a",
      "a.",
      "é",
      "a".repeat(253),
      "a".repeat(254),
    ]) {
      for (const object of completeObjects) {
        await assertAgree({ ...object, metadata: { name } });
      }
    }
  });
});
