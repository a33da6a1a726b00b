/** The evaluator gives exactly the tables that the public suites expect. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Family } from "./address.js";
import { judge } from "./judge.js";
import { isDenied, loadSpecs, parseProbe, type Spec, type SpecFile } from "./spec.js";
import { inFamily, openSpec, type SpecState, takeStep } from "./spec-cluster.js";

const COUNTS: Readonly<Record<SpecFile, number>> = { e2e: 48, cyclonus: 112 };

/** All pairs on which the evaluator and the table differ, as `TCP 80 xa -> yb`. */
function differences(spec: Spec, family: Family): readonly string[] {
  const wrong: string[] = [];
  let state: SpecState = openSpec(spec);
  for (const [index, step] of spec.steps.entries()) {
    state = takeStep(state, step, family);
    const addresses = inFamily(state.addresses, family);
    const pods = [...addresses.keys()];
    for (const { probes, denied } of step.expect) {
      for (const probe of probes) {
        for (const source of pods) {
          for (const destination of pods.filter((pod) => pod !== source)) {
            const expected = !isDenied(denied, source, destination, addresses);
            if (reaches(state, family, probe, source, destination) !== expected) {
              wrong.push(`step ${index + 1}: ${probe} ${source} -> ${destination}`);
            }
          }
        }
      }
    }
  }
  return wrong;
}

function reaches(
  { cluster }: SpecState,
  family: Family,
  probe: string,
  source: string,
  destination: string,
): boolean {
  const [protocol, destinationPort] = parseProbe(probe);
  const keyOf = (pod: string) => `${pod.slice(0, -1)}/${pod.slice(-1)}`;
  const ends = { source: keyOf(source), destination: keyOf(destination) };
  return judge(cluster, { ...ends, family, protocol, destinationPort }).allowed;
}

for (const file of ["e2e", "cyclonus"] as const) {
  describe(`the tables of ${file}`, () => {
    const specs = loadSpecs(file);

    it("are complete", () => {
      assert.equal(specs.length, COUNTS[file]);
      assert.equal(new Set(specs.map(({ id }) => id)).size, specs.length);
    });

    for (const spec of specs) {
      it(`${spec.id}: ${spec.name}`, () => {
        assert.deepEqual(differences(spec, 4), []);
        assert.deepEqual(differences(spec, 6), []);
      });
    }
  });
}

describe("a table", () => {
  const addresses = openSpec({
    id: "",
    name: "",
    pods: ["xa", "xb", "xc", "yc", "zc"],
    steps: [],
  }).addresses;
  const pairs = (line: string) =>
    [...addresses.keys()].flatMap((source) =>
      [...addresses.keys()]
        .filter((destination) => isDenied([line], source, destination, addresses))
        .map((destination) => `${source}${destination}`),
    );

  it("names pods, namespaces, all pods, all but some, and those of a block", () => {
    assert.deepEqual(pairs("xa -> xb"), ["xaxb"]);
    assert.deepEqual(pairs("x -> yc"), ["xayc", "xbyc", "xcyc"]);
    assert.deepEqual(pairs("only x,yc -> xa"), ["zcxa"]);
    assert.deepEqual(pairs("zc -> only xa,zc"), ["zcxb", "zcxc", "zcyc"]);
    assert.deepEqual(pairs("zc/24 -> xa"), ["xcxa", "ycxa", "zcxa"]);
    assert.deepEqual(pairs("zc/24-zc/28 -> xa"), ["xcxa", "ycxa"]);
    assert.equal(pairs("* -> *").length, 25);
  });

  it("that is wrong in one cell is found", () => {
    const [spec] = loadSpecs("e2e");
    assert.ok(spec !== undefined);
    const wrong: Spec = {
      ...spec,
      steps: spec.steps.map((step) => ({
        ...step,
        expect: [{ probes: ["TCP 80"], denied: ["only yb -> xa", "* -> xb"] }],
      })),
    };
    assert.deepEqual(differences(wrong, 4), ["step 1: TCP 80 yb -> xa"]);
  });
});
