import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { Environment } from "@marcbachmann/cel-js";
import { parse } from "yaml";
import type { JsonSchema } from "../../operator/model/schema.js";

const FOLDER = new URL("../../../crds/", import.meta.url);

interface Column {
  readonly name: string;
  readonly jsonPath: string;
}

interface CrdFile {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: {
      readonly kind: string;
      readonly plural: string;
      readonly shortNames: readonly string[];
      readonly categories: readonly string[];
    };
    readonly versions: readonly {
      readonly name: string;
      readonly subresources: { readonly status?: object };
      readonly additionalPrinterColumns: readonly Column[];
      readonly schema: { readonly openAPIV3Schema: JsonSchema };
    }[];
  };
}

const crds = readdirSync(FOLDER).map(
  (name) => parse(readFileSync(new URL(name, FOLDER), "utf8")) as CrdFile,
);

/** All schemas inside one, each with its path. */
function* schemasIn(schema: JsonSchema, path: string): Generator<[string, JsonSchema]> {
  yield [path, schema];
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    yield* schemasIn(property, `${path}.${name}`);
  }
  if (schema.items !== undefined) yield* schemasIn(schema.items, `${path}[]`);
  if (schema.additionalProperties) yield* schemasIn(schema.additionalProperties, `${path}.*`);
}

const schemas = crds.flatMap(({ spec }) =>
  spec.versions.flatMap(({ schema }) => [...schemasIn(schema.openAPIV3Schema, spec.names.kind)]),
);

function pathsWhere(isSo: (schema: JsonSchema, path: string) => boolean): readonly string[] {
  return schemas.filter(([path, schema]) => isSo(schema, path)).map(([path]) => path);
}

function schemaAt(path: string): JsonSchema {
  const found = schemas.find(([at]) => at === path);
  assert.ok(found, path);
  return found[1];
}

describe("each CRD", () => {
  it("is cluster-scoped, short to type, in the category sluice, with a status of its own", () => {
    assert.deepEqual(
      crds.map(({ metadata, spec }) => [metadata.name, spec.scope, spec.names.shortNames[0]]),
      [
        ["nodedatapaths.sluice.dev", "Cluster", "ndp"],
        ["xdpcidrsets.sluice.dev", "Cluster", "xcs"],
        ["xdppolicies.sluice.dev", "Cluster", "xp"],
      ],
    );
    for (const { metadata, spec } of crds) {
      assert.equal(metadata.name, `${spec.names.plural}.${spec.group}`);
      assert.deepEqual(spec.names.categories, ["sluice"]);
      assert.deepEqual(
        spec.versions.map(({ name, subresources }) => [name, subresources.status]),
        [["v1alpha1", {}]],
      );
    }
  });

  it("has conditions by type in its status", () => {
    for (const { spec } of crds) {
      const conditions = schemaAt(`${spec.names.kind}.status.conditions`);
      assert.equal(conditions["x-kubernetes-list-type"], "map");
      assert.deepEqual(conditions["x-kubernetes-list-map-keys"], ["type"]);
    }
  });

  it("prints columns of fields that are there", () => {
    for (const { spec } of crds) {
      for (const { name, jsonPath } of spec.versions[0]?.additionalPrinterColumns ?? []) {
        if (jsonPath === ".metadata.creationTimestamp") continue;
        const path = jsonPath.replace(/\[\?\(.*?\)\]/, "[]");
        assert.ok(schemaAt(spec.names.kind + path), name);
      }
    }
  });
});

describe("each field", () => {
  it("says what it is for", () => {
    const labels = (path: string) => path.endsWith(".*");
    assert.deepEqual(
      pathsWhere(
        ({ description }, path) =>
          description === undefined && !labels(path) && !path.endsWith(".metadata"),
      ),
      [],
    );
  });

  it("has a bound: the cost of rules is estimated from the largest object", () => {
    assert.deepEqual(
      pathsWhere(({ type, maxItems }) => type === "array" && maxItems === undefined),
      [],
    );
    assert.deepEqual(
      pathsWhere(
        ({ type, minimum, maximum }) =>
          type === "integer" && (minimum === undefined || maximum === undefined),
      ),
      [],
    );
    assert.deepEqual(
      pathsWhere(
        (schema, path) =>
          schema.type === "string" &&
          schema.maxLength === undefined &&
          schema.enum === undefined &&
          !/^\w+\.(apiVersion|kind)$/.test(path),
      ),
      [],
    );
    assert.deepEqual(
      pathsWhere(
        ({ additionalProperties, maxProperties }) =>
          additionalProperties !== undefined && maxProperties === undefined,
      ),
      [],
    );
  });

  it("of a list says how entries are merged, and keys of list-maps are required", () => {
    assert.deepEqual(
      pathsWhere((schema) => schema.type === "array" && !schema["x-kubernetes-list-type"]),
      [],
    );
    assert.deepEqual(
      pathsWhere(
        (schema) =>
          schema["x-kubernetes-list-map-keys"]?.some(
            (key) => schema.items?.required?.includes(key) !== true,
          ) === true,
      ),
      [],
    );
  });

  it("that stands in several places has the same schema in all", () => {
    const rule = "XdpPolicy.spec.ingress[]";
    const bare = (path: string) =>
      JSON.stringify(schemaAt(path), (key, value: unknown) =>
        key === "description" ? undefined : value,
      );
    assert.equal(bare(`${rule}.from`), bare(`${rule}.to`));
    const ports = ["tcp", "udp", "sctp"].flatMap((protocol) =>
      ["destinationPort", "sourcePort"].map((end) => `${rule}.protocols[].${protocol}.${end}`),
    );
    assert.equal(new Set(ports.map(bare)).size, 1);
    const conditions = crds.map(({ spec }) => `${spec.names.kind}.status.conditions`);
    assert.equal(new Set(conditions.map(bare)).size, 1);
  });
});

describe("each CEL rule", () => {
  const rules = schemas.flatMap(([path, schema]) =>
    (schema["x-kubernetes-validations"] ?? []).map((rule) => ({ path, ...rule })),
  );

  it("has a message with what is wrong and what to do, and points at a field that is there", () => {
    assert.ok(rules.length > 20);
    for (const { path, message, fieldPath } of rules) {
      assert.match(message, /^[^;]+; [^;]+$/, path);
      if (fieldPath !== undefined) assert.ok(schemaAt(path + fieldPath));
    }
  });

  it("can be evaluated in process, but for texts of addresses and TCP flags, which the projection reads", () => {
    const environment = new Environment().registerVariable("self", "dyn");
    const isServerOnly = (rule: string) => /isCIDR|isIP|sets\./.test(rule);
    for (const { rule } of rules) {
      if (!isServerOnly(rule)) assert.deepEqual(environment.check(rule).error, undefined, rule);
    }
    assert.deepEqual(
      rules.filter(({ rule }) => isServerOnly(rule)).map(({ path }) => path),
      [
        "XdpCidrSet.spec.cidrs[]",
        "XdpCidrSet.spec.expiring[].cidr",
        "XdpPolicy.spec.ingress[].from[].cidr",
        "XdpPolicy.spec.ingress[].to[].cidr",
        "XdpPolicy.spec.ingress[].protocols[].tcp.flags",
      ],
    );
  });
});
