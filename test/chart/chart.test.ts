import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { Limits } from "../../datapath/generated/layout.js";
import { parseObjects } from "../support/cluster/apply.js";
import { chartFolder } from "../support/cluster/install.js";
import { render, tryHelm, type Values } from "./helm.js";
import { valueSets } from "./value-sets.js";

const root = join(chartFolder, "../..");

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly minimum?: number;
  readonly maximum?: number;
}

function read(name: string): unknown {
  return parse(readFileSync(join(chartFolder, name), "utf8"));
}

describe("the chart", () => {
  for (const [name, values] of Object.entries(valueSets)) {
    it(`is without a warning for ${name}`, async () => {
      const { status, out, err } = await tryHelm(
        ["lint", "--strict", chartFolder, "--values", "-"],
        values,
      );
      assert.equal(status, 0, out + err);
      assert.doesNotMatch(out, /\[(WARNING|ERROR)\]/);
    });
  }

  it("has the version of the program", () => {
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      readonly version: string;
    };
    const chart = read("Chart.yaml") as Record<string, string>;
    assert.equal(chart.appVersion, version);
    assert.equal(chart.version, version);
  });

  it("has a README whose table is that of values.yaml", () => {
    execFileSync(process.execPath, [join(root, "scripts/chart-readme.mjs"), "--check"]);
  });

  it("has each value in its schema, and in its schema nothing else", () => {
    const keysOf = (schema: Schema) => Object.keys(schema.properties ?? {}).sort();
    const values = read("values.yaml") as Readonly<Record<string, Values>>;
    const schema = read("values.schema.json") as Schema;
    assert.deepEqual(Object.keys({ ...values, global: {} }).sort(), keysOf(schema));
    for (const part of ["image", "metrics", "podMonitor", "serviceAccount", "crds", "bpffs"]) {
      assert.deepEqual(Object.keys(values[part] ?? {}).sort(), keysOf(schema.properties![part]!));
    }
  });

  it("allows as many address lines as the kernel's tables have", () => {
    const { addressLines } = (read("values.schema.json") as Schema).properties!;
    assert.equal(addressLines?.maximum, Limits.MAX_ADDRESS_LINES);
  });

  it("has no two objects of one name, in whichever namespace it is", async () => {
    for (const namespace of ["sluice-system", "default", "kube-system"]) {
      const { objects } = await render({}, { namespace });
      const names = objects.map(({ kind, metadata }) =>
        [kind, metadata.namespace, metadata.name].join(" "),
      );
      assert.deepEqual([...new Set(names)], names);
    }
  });

  it("has in its package the CRDs of the repository, which are a link here", async () => {
    const folder = mkdtempSync(join(tmpdir(), "sluice-package-"));
    try {
      const { status, err } = await tryHelm(["package", chartFolder, "--destination", folder]);
      assert.equal(status, 0, err);
      const fromPackage = await render({}, { chart: join(folder, "sluice-0.1.0.tgz") });
      assert.deepEqual(fromPackage.objects, (await render()).objects);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("the CRDs of the chart", () => {
  it("are those of the repository, kept on uninstall", async () => {
    for (const plural of ["nodedatapaths", "xdpcidrsets", "xdppolicies"]) {
      const [own] = parseObjects(readFileSync(join(root, "crds", `${plural}.yaml`), "utf8"));
      const { metadata, ...rest } = (await render()).one(
        "CustomResourceDefinition",
        own!.metadata.name,
      );
      const { metadata: _, ...ownRest } = own!;
      assert.deepEqual(rest, ownRest);
      assert.deepEqual(metadata.annotations, { "helm.sh/resource-policy": "keep" });
    }
  });
});

describe("wrong values", () => {
  const cases: readonly (readonly [what: string, values: Values, message: RegExp])[] = [
    [
      "a key that there is not",
      { metrics: { prot: 1 } },
      /'\/metrics': additional propert.*'prot'/,
    ],
    ["an XDP mode", { mode: "fast" }, /'\/mode': .*'native', 'generic', 'offload'/],
    ["a verdict", { unparsable: "Reject" }, /'\/unparsable': .*'Drop', 'Pass'/],
    ["a name as API server", { apiServers: ["api.example:6443"] }, /'\/apiServers\/0'.*pattern/],
    ["an API server without a port", { apiServers: ["192.0.2.1"] }, /'\/apiServers\/0'.*pattern/],
    ["a text as a list", { uplinks: "eth0" }, /'\/uplinks': got string, want array/],
    ["too many address lines", { addressLines: 2_000_000 }, /'\/addressLines': maximum/],
    [
      "a fail-safe rule that drops",
      { failSafe: [{ name: "x", action: "Drop" }] },
      /'\/failSafe\/0\/action'.*'Accept'/,
    ],
    ["a port", { metrics: { port: 70_000 } }, /'\/metrics\/port': maximum/],
    ["a tag that is a digest", { image: { tag: "sha256:00" } }, /'\/image\/tag'.*pattern/],
    [
      "two agents on a node",
      { updateStrategy: { rollingUpdate: { maxSurge: 1 } } },
      /maxSurge': value must be 0/,
    ],
    [
      "a quoted boolean",
      { crds: { install: "no" } },
      /'\/crds\/install': got string, want boolean/,
    ],
    [
      "a scrape of loopback",
      { podMonitor: { enabled: true } },
      /cannot reach the loopback.*metrics.listen/,
    ],
  ];
  for (const [what, values, message] of cases) {
    it(`are named with their place: ${what}`, async () => {
      await assert.rejects(render(values), message);
    });
  }
});
