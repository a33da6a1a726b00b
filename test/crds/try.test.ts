import { it } from "node:test";
import { parseAllDocuments } from "yaml";
import { readdirSync, readFileSync } from "node:fs";
import { completeObjects, type JsonObject } from "./complete-objects.js";
import { DryRun, admitCopy } from "./dry-run.js";
import { generateCase } from "../fuzz/generate.js";
import { worldToYaml } from "../fuzz/manifest.js";
import { createRandom } from "../fuzz/random.js";
import { mutateObject } from "./mutate-object.js";
process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
const N = Number(process.env["N"] ?? 600);
const own = (texts: string[]) => texts.flatMap((t) => parseAllDocuments(t)).map((d) => d.toJSON() as JsonObject).filter((o) => String(o?.["kind"]).startsWith("Xdp"));
it("tries", async () => {
  const dry = new DryRun({ url: "https://127.0.0.1:26443", ca: "", token: "admintoken" });
  const ex = own(readdirSync("examples/policies").map((f) => readFileSync("examples/policies/" + f, "utf8")));
  const gen = own(Array.from({ length: 40 }, (_, i) => worldToYaml(generateCase(7, i, 1).world)));
  console.log(ex.length, gen.length, Math.max(...gen.map((g) => JSON.stringify(g).length)));
  let t = Date.now();
  for (const o of [...ex, ...gen]) {
    const [v, a] = [await dry.create(o), admitCopy(o)];
    if (!v.accepted || !a.admitted) console.log(JSON.stringify(v.refusals).slice(0, 300), a.problems.map((p) => p.field + " " + p.message));
    else {
      const { spec } = v.object as any;
      if (JSON.stringify(spec, Object.keys) !== JSON.stringify((a.value as any).spec, Object.keys)) console.log("spec differs");
    }
  }
  console.log("ms", Date.now() - t); t = Date.now();
  const base = [...completeObjects, ...completeObjects, ...ex, ...gen.filter((g) => JSON.stringify(g).length < 6000)];
  const kinds = new Map<string, [number, string]>();
  let both = [0, 0, 0, 0];
  for (let i = 0; i < N; i++) {
    const random = createRandom(11, i);
    let o = mutateObject(random, random.pick(base));
    const [v, a] = [await dry.create(o), admitCopy(o)];
    both[(v.accepted ? 2 : 0) + (a.admitted ? 1 : 0)]!++;
    if (v.accepted !== (a.admitted !== undefined)) {
      const text = v.accepted ? "SERVER LETS THROUGH: " + a.problems.filter((p) => p.severity === "error").map((p) => p.code + " " + p.field?.replace(/\[\d+\]/g, "[]") + " " + p.message) : "AGENT LETS THROUGH " + JSON.stringify(v.refusals);
      const key = text.slice(0, 130);
      kinds.set(key, [(kinds.get(key)?.[0] ?? 0) + 1, text.slice(0, 500)]);
    } else if (!v.accepted) {
      const sf = v.refusals.map((r) => r.field.replace(/^<nil>$/, "")), af = a.problems.filter((p) => p.severity === "error").map((p) => p.field ?? "");
      const agree = sf.some((s) => af.some((f) => f.startsWith(s) || s.startsWith(f)));
      if (!agree) console.log("FIELDS", sf, af, JSON.stringify(v.refusals).slice(0, 200));
    }
  }
  console.log("ms", Date.now() - t, both);
  for (const [n, text] of [...kinds.values()].sort((a, b) => b[0] - a[0])) console.log(n, text);
  dry.close();
});
