// @ts-check
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { downloadModule, runGo, suitableGo } from "./cluster-tools/go.mjs";
import { runMain, runOrFail, StepError } from "./run.mjs";

const kubernetes = "v1.35.4";
const etcd = "v3.6.5";
const [, kubernetesMinor = ""] = kubernetes.split(".");

/**
 * A program of a cluster for tests and benches, built from its source with Go and kept outside the repository.
 *
 * @typedef {object} Tool
 * @property {string} name
 * @property {string} package of Go
 * @property {string} [version] of its module; without one it is built together with Kubernetes
 * @property {Readonly<Record<string, string>>} [variables] that its own build would set
 */

/** @type {readonly Tool[]} */
const tools = [
  { name: "etcd", package: "go.etcd.io/etcd/server/v3" },
  { name: "kube-apiserver", package: "k8s.io/kubernetes/cmd/kube-apiserver" },
  { name: "kubectl", package: "k8s.io/kubernetes/cmd/kubectl" },
  { name: "kubelet", package: "k8s.io/kubernetes/cmd/kubelet" },
  {
    name: "helm",
    package: "helm.sh/helm/v3/cmd/helm",
    version: "v3.20.2",
    variables: {
      "helm.sh/helm/v3/internal/version.version": "v3.20.2",
      "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor": kubernetesMinor,
      "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor": kubernetesMinor,
    },
  },
  { name: "cnitool", package: "github.com/containernetworking/cni/cnitool", version: "v1.3.1" },
];

/** Kubernetes' programs tell their version to clients, which decide by it. */
const kubernetesVariables = {
  "k8s.io/component-base/version.gitVersion": kubernetes,
  "k8s.io/component-base/version.gitMajor": "1",
  "k8s.io/component-base/version.gitMinor": kubernetesMinor,
};

const cache =
  process.env.SLUICE_CACHE ||
  join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "sluice");

const versions = [
  `kubernetes-${kubernetes}`,
  `etcd-${etcd}`,
  ...tools.flatMap(({ name, version }) => (version === undefined ? [] : [`${name}-${version}`])),
];

/** Of the programs, named as in the table. Other versions have another folder. */
const folder = join(cache, [...versions, process.arch].join("-"));
const scratch = join(folder, "build");

const missingTools = () => tools.filter(({ name }) => !existsSync(join(folder, name)));

/**
 * Builds what is missing: minutes the first time, and nothing afterwards.
 *
 * @returns {string} the folder that holds the programs
 * @throws {StepError} when Go or its module proxy is not there
 */
export function ensureClusterTools() {
  if (missingTools().length === 0) return folder;
  mkdirSync(folder, { recursive: true });
  // The lock ends with its holder, however that ends.
  const build = [join(folder, "lock"), process.execPath, import.meta.filename, "--locked"];
  const busy = 75;
  const first = spawnSync("flock", ["--nonblock", "--conflict-exit-code", `${busy}`, ...build], {
    stdio: ["ignore", 2, 2],
  });
  if (first.status === busy) {
    console.error("cluster tools: another process builds them; waiting for it");
    runOrFail("flock", build, "cluster tools");
  } else if (first.status !== 0) {
    throw new StepError(`cluster tools: not built${first.error ? `: ${first.error.message}` : ""}`);
  }
  return folder;
}

function buildMissing() {
  const missing = missingTools();
  if (missing.length === 0) return;
  console.error(
    `cluster tools: building ${missing.map(({ name }) => name).join(", ")} ` +
      `into ${folder}; takes minutes the first time`,
  );
  const startMs = Date.now();
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(join(scratch, "bin"), { recursive: true });
  try {
    const go = suitableGo(scratch);
    const isAlone = (/** @type {Tool} */ tool) => tool.version !== undefined;
    buildWithKubernetes(
      go,
      missing.filter((tool) => !isAlone(tool)),
    );
    for (const tool of missing.filter(isAlone)) buildAlone(go, tool);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  console.error(`cluster tools: built in ${Math.round((Date.now() - startMs) / 1000)} s`);
}

/**
 * The go.mod of Kubernetes replaces its own parts by folders of its repository, which the proxy does not have. So
 * a module of our own replaces them by what is published of them.
 *
 * @param {string} go
 * @param {readonly Tool[]} wanted
 */
function buildWithKubernetes(go, wanted) {
  if (wanted.length === 0) return;
  const { GoMod } = downloadModule(go, scratch, `k8s.io/kubernetes@${kubernetes}`);
  const parts = [...readFileSync(GoMod, "utf8").matchAll(/^\s*(\S+) => \.\/staging\//gm)];
  const version = kubernetes.replace(/^v1/, "v0");
  const lines = [
    "module sluice.dev/cluster-tools",
    "go 1.25.0",
    ...parts.map(([, part]) => `replace ${part} => ${part} ${version}`),
    `require k8s.io/kubernetes ${kubernetes}`,
    `require go.etcd.io/etcd/server/v3 ${etcd}`,
  ];
  writeFileSync(join(scratch, "go.mod"), `${lines.join("\n")}\n`);
  const packages = wanted.map((tool) => tool.package);
  runGo(go, scratch, ["build", linkerFlags(kubernetesVariables), "-o", "bin/", ...packages]);
  wanted.forEach(keep);
}

/** @param {string} go @param {Tool} tool */
function buildAlone(go, tool) {
  const { package: path, version, variables = {} } = tool;
  const env = { GOBIN: join(scratch, "bin") };
  runGo(go, scratch, ["install", linkerFlags(variables), `${path}@${version}`], env);
  keep(tool);
}

/** Go names a program after the last part of its path that is no version. @param {Tool} tool */
function keep({ name, package: path }) {
  const program = path.replace(/\/v\d+$/, "").replace(/^.*\//, "");
  renameSync(join(scratch, "bin", program), join(folder, name));
}

/** @param {Readonly<Record<string, string>>} variables */
function linkerFlags(variables) {
  const sets = Object.entries(variables).map(([name, value]) => `-X ${name}=${value}`);
  return `-ldflags=${["-s -w", ...sets].join(" ")}`;
}

if (process.argv[1] === import.meta.filename) {
  runMain(async () => {
    if (process.argv[2] === "--locked") buildMissing();
    else console.log(ensureClusterTools());
  });
}
