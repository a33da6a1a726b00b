import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Cluster } from "../support/cluster/cluster.js";
import { type KubeObject, parseObjects } from "../support/cluster/apply.js";
import { chartFolder } from "../support/cluster/install.js";
import { toolPath } from "../support/cluster/tools.js";

/** Values of the chart, as a values file has them. */
export type Values = Readonly<Record<string, unknown>>;

export interface HelmRun {
  readonly status: number | null;
  readonly out: string;
  /** Without the note that the CRDs are a link. */
  readonly err: string;
}

/** Runs helm, with values on its standard input: `--values -` reads them. */
export async function tryHelm(
  args: readonly string[],
  values: Values = {},
  kubeconfig = "",
): Promise<HelmRun> {
  const home = mkdtempSync(join(tmpdir(), "sluice-helm-"));
  try {
    const child = spawn(toolPath("helm"), args, {
      env: { PATH: process.env.PATH, HOME: home, KUBECONFIG: kubeconfig },
    });
    let out = "";
    let err = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => void (out += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => void (err += text));
    // It may end before it has read all.
    child.stdin.on("error", () => undefined).end(JSON.stringify(values));
    const status = await new Promise<number | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", resolve);
    });
    const lines = err.split("\n").filter((line) => !line.includes("found symbolic link in path"));
    return { status, out, err: lines.join("\n") };
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** The same against a cluster; rejects unless helm exits with 0. */
export async function helm(
  cluster: Cluster,
  args: readonly string[],
  values?: Values,
): Promise<string> {
  const { status, out, err } = await tryHelm(args, values, cluster.adminKubeconfig);
  if (status !== 0) throw new Error(`helm ${args.join(" ")}: exit status ${status}: ${err}${out}`);
  return out;
}

export interface Rendered {
  readonly objects: readonly KubeObject[];
  /** The one object of a kind, by its name if there are several. */
  one(kind: string, name?: string): KubeObject;
  has(kind: string): boolean;
}

export const release = { name: "sluice", namespace: "sluice-system" } as const;

export interface RenderOptions {
  readonly chart?: string;
  readonly namespace?: string;
}

/** What `helm template` makes of values, by default with the release of {@link release}. */
export async function render(
  values: Values = {},
  { chart = chartFolder, namespace = release.namespace }: RenderOptions = {},
): Promise<Rendered> {
  const { status, out, err } = await tryHelm(
    ["template", release.name, chart, "--namespace", namespace, "--values", "-"],
    values,
  );
  if (status !== 0) throw new Error(err);
  const objects = parseObjects(out);
  return {
    objects,
    one(kind, name) {
      const found = objects.filter(
        (object) => object.kind === kind && (name === undefined || object.metadata.name === name),
      );
      const [first] = found;
      if (first === undefined || found.length > 1) {
        throw new Error(`${found.length} of ${kind} ${name ?? ""}`);
      }
      return first;
    },
    has: (kind) => objects.some((object) => object.kind === kind),
  };
}
