import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Cluster, startCluster } from "../support/cluster/cluster.js";

let cluster: Cluster;
let fields: ReadonlyMap<string, Field>;
before(async () => {
  cluster = await startCluster();
  await cluster.installCrds();
  fields = await published();
});
after(() => cluster?.close());

const explain = (field: string, ...flags: string[]) =>
  cluster.kubectl(["explain", field, "--api-version=sluice.dev/v1alpha1", ...flags]);

interface Field {
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Field>>;
  readonly items?: Field;
}

/** Described by Kubernetes itself. */
const kubernetesOwn = /^\w+\.(apiVersion|kind|metadata)$/;

/** Fields below one, each with its path; those of Kubernetes' own types have no properties here. */
function* fieldsIn(field: Field, path: string): Generator<readonly [string, Field]> {
  for (const [name, property] of Object.entries(field.properties ?? {})) {
    yield [`${path}.${name}`, property];
    yield* fieldsIn(property, `${path}.${name}`);
  }
  if (field.items !== undefined) yield* fieldsIn(field.items, path);
}

interface OpenApi {
  readonly components: { readonly schemas: Readonly<Record<string, Field>> };
}

/** The fields of all kinds. The document comes a moment after the CRDs. */
async function published(): Promise<ReadonlyMap<string, Field>> {
  const path = "/openapi/v3/apis/sluice.dev/v1alpha1";
  const deadline = Date.now() + 30_000;
  let answer = await cluster.rest.send({ path });
  while (answer.status === 404 && Date.now() < deadline) {
    await sleep(100);
    answer = await cluster.rest.send({ path });
  }
  assert.equal(answer.status, 200, answer.text);
  const { components } = JSON.parse(answer.text) as OpenApi;
  return new Map(
    ["NodeDatapath", "XdpCidrSet", "XdpPolicy"].flatMap((kind) => {
      const schema = components.schemas[`dev.sluice.v1alpha1.${kind}`];
      assert.ok(schema, kind);
      return [[kind, schema] as const, ...fieldsIn(schema, kind)];
    }),
  );
}

describe("what kubectl explain says", () => {
  it("of every field of every kind is one sentence or more", () => {
    assert.ok(fields.size > 150, `${fields.size}`);
    const isSentence = (text: string) => /^[A-Z0-9`].*[.)`]$/s.test(text) && /\s/.test(text);
    assert.deepEqual(
      [...fields].flatMap(([path, { description = "" }]) =>
        kubernetesOwn.test(path) || isSentence(description) ? [] : `${path}: ${description}`,
      ),
      [],
    );
  });

  it("names the default of each field that has one: explain itself does not show them", () => {
    const silent = [...fields].filter(([, { default: value, description = "" }]) => {
      const isScalar = typeof value === "string" || typeof value === "number";
      return isScalar && !new RegExp(`Default: \`?${value}\`?\\.`).test(description);
    });
    assert.deepEqual(
      silent.map(([path]) => path),
      [],
    );
  });

  it("of a limit is what a person has to know to write one", async () => {
    const text = (await explain("xdppolicy.spec.ingress.rateLimit")).replaceAll(/\s+/g, " ");
    for (const words of [
      "FIELD: rateLimit <Object>",
      "given exactly with action `Limit`",
      "A bucket starts full with `burst` tokens and refills at the rate",
      "Exactly one of this and `bytesPerSecond`.",
      "enum: Node, SourceAddress, SourcePrefix",
      "Default: `Node`.",
    ]) {
      assert.ok(text.includes(words), `${words}\n${text}`);
    }
  });

  it("lists every field of the kinds with --recursive", async () => {
    for (const kind of ["XdpPolicy", "XdpCidrSet", "NodeDatapath"]) {
      const text = await explain(kind.toLowerCase(), "--recursive");
      const names = new Set(text.split("\n").map((line) => line.trim().split(/\s/, 1)[0]));
      const paths = [...fields.keys()].filter((path) => path.startsWith(`${kind}.`));
      assert.ok(paths.length > 10);
      assert.deepEqual(
        paths.filter((path) => !names.has(path.slice(path.lastIndexOf(".") + 1))),
        [],
      );
    }
  });
});
