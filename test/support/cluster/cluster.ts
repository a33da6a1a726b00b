import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  type AgentAccount,
  type AgentAccountOptions,
  createAgentAccount,
} from "./agent-account.js";
import { createApply, type KubeObject, parseObjects } from "./apply.js";
import { type Certificates, createCertificates } from "./certificates.js";
import { createFolder, removeFolder } from "./folder.js";
import { type KubectlOptions, runKubectl, writeKubeconfig } from "./kubectl.js";
import { createRestClient, type RestClient, type RestRequest } from "./rest.js";
import { freePort, startApiServer, startEtcd } from "./servers.js";

const repository = fileURLToPath(new URL("../../../../", import.meta.url));

export interface ClusterOptions {
  /** More flags of kube-apiserver: `["--feature-gates=WatchList=false"]`. */
  readonly apiServerFlags?: readonly string[];
}

export interface NodeOptions {
  readonly labels?: Readonly<Record<string, string>>;
  /** Its InternalIPs; default none. */
  readonly addresses?: readonly string[];
  readonly podCIDRs?: readonly string[];
  /** Where its kubelet listens; default 10250. */
  readonly kubeletPort?: number;
}

/**
 * A real etcd and kube-apiserver on loopback, with RBAC on. There are no controllers: nothing deletes what an
 * owner leaves behind, a deleted Namespace stays in `Terminating`, and the aggregated roles (`view`, `edit`, `admin`)
 * are empty.
 */
export interface Cluster {
  /** `https://127.0.0.1:PORT`; changes when the API server starts on another port. */
  readonly url: string;
  /** For files of the test; goes with the cluster. */
  readonly folder: string;
  readonly certificates: Certificates;
  readonly caFile: string;
  /** Path of a kubeconfig of the group `system:masters`, which may do all. */
  readonly adminKubeconfig: string;
  /** Last output of kube-apiserver. */
  readonly apiServerLog: () => string;

  /** Runs kubectl as the admin; resolves with its stdout, rejects with its stderr. */
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<string>;
  kubectlAs(kubeconfig: string, args: readonly string[], options?: KubectlOptions): Promise<string>;
  /** The admin's bare HTTP client. */
  readonly rest: RestClient;
  /** One call as the admin; rejects unless the answer is 200 … 299. */
  request<T>(request: RestRequest): Promise<T>;
  get<T>(path: string): Promise<T>;
  /** Creates or changes objects by server-side apply, in order; YAML may have several documents. */
  apply(objects: string | KubeObject | readonly KubeObject[]): Promise<readonly KubeObject[]>;
  /** Applies the objects of YAML files, relative to the root of the repository. */
  applyFiles(...paths: readonly string[]): Promise<void>;
  /** Installs crds/*.yaml and waits until they are served. */
  installCrds(): Promise<void>;
  /** Waits until the API server knows a resource. */
  untilServed(path: string): Promise<void>;
  createNode(name: string, options?: NodeOptions): Promise<KubeObject>;
  agentAccount(nodeName: string, options?: AgentAccountOptions): Promise<AgentAccount>;

  /** Ends kube-apiserver as a power cut does. */
  killApiServer(): Promise<void>;
  /** Starts it again with the same data: on the same port, unless another is given. */
  startApiServer(options?: { readonly port?: number | "another" }): Promise<void>;
  /**
   * Makes etcd forget all revisions before the present one, which it returns. The API server still answers from its
   * own memory, for lists and watches both, until it is started anew.
   */
  compactEtcd(): Promise<number>;
  /** Writes objects past the API server, by their keys: `/registry/pods/NAMESPACE/NAME`; as JSON. */
  putEtcd(values: Readonly<Record<string, string>>): Promise<void>;

  /** Runs before the cluster ends, last added first. */
  onClose(work: () => void | Promise<void>): void;
  close(): Promise<void>;
}

/**
 * Gives a test a cluster of its own and takes it down afterwards, however the test ends.
 *
 * @example await withCluster(async (cluster) => { await cluster.installCrds(); … });
 */
export async function withCluster(
  body: (cluster: Cluster) => Promise<void>,
  options: ClusterOptions = {},
): Promise<void> {
  const cluster = await startCluster(options);
  try {
    await body(cluster);
  } finally {
    await cluster.close();
  }
}

/** Starts a cluster, for a test file whose tests share it: call `close` in `after`. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const folder = createFolder();
  const closing: (() => void | Promise<void>)[] = [() => removeFolder(folder)];
  const close = async () => {
    const failures: unknown[] = [];
    for (const work of closing.splice(0).reverse()) {
      try {
        await work();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, "a cluster could not be closed");
  };
  try {
    return await start(folder, options, closing, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function start(
  folder: string,
  { apiServerFlags = [] }: ClusterOptions,
  closing: (() => void | Promise<void>)[],
  close: () => Promise<void>,
): Promise<Cluster> {
  const certificates = createCertificates(folder);
  const caFile = certificates.ca.certificate;
  const adminKubeconfig = join(folder, "admin.kubeconfig");
  let port = await freePort();
  const url = () => `https://127.0.0.1:${port}`;

  const etcd = await startEtcd(folder);
  closing.push(() => etcd.process.kill());
  const rest = createRestClient(url, certificates);
  closing.push(() => rest.close());
  const apply = createApply(rest);

  const startServer = () => startApiServer(folder, certificates, port, apiServerFlags, rest);
  const writeAdminKubeconfig = () =>
    writeKubeconfig(adminKubeconfig, url(), caFile, {
      "client-certificate": certificates.admin.certificate,
      "client-key": certificates.admin.key,
    });
  let apiServer = await startServer();
  closing.push(() => apiServer.kill());
  writeAdminKubeconfig();

  const cluster: Cluster = {
    get url() {
      return url();
    },
    folder,
    certificates,
    caFile,
    adminKubeconfig,
    apiServerLog: () => apiServer.log(),
    kubectl: (args, options) => runKubectl(folder, adminKubeconfig, args, options),
    kubectlAs: (kubeconfig, args, options) => runKubectl(folder, kubeconfig, args, options),
    rest,
    request: (request) => rest.call(request),
    get: (path) => rest.call({ path }),
    async apply(objects) {
      const list: readonly KubeObject[] =
        typeof objects === "string" ? parseObjects(objects) : [objects].flat();
      const applied: KubeObject[] = [];
      for (const object of list) applied.push(await apply(object));
      return applied;
    },
    async applyFiles(...paths) {
      for (const path of paths) await cluster.apply(readFileSync(join(repository, path), "utf8"));
    },
    installCrds: () => installCrds(cluster),
    untilServed: (path) => untilServed(cluster, path),
    createNode: (name, options) => createNode(cluster, name, options),
    agentAccount: (nodeName, options) => createAgentAccount(cluster, nodeName, options),
    killApiServer: () => apiServer.kill(),
    async startApiServer({ port: wanted = port } = {}) {
      port = wanted === "another" ? await freePort() : wanted;
      apiServer = await startServer();
      writeAdminKubeconfig();
    },
    compactEtcd: () => etcd.compact(),
    putEtcd: (values) => etcd.put(values),
    onClose: (work) => void closing.push(work),
    close,
  };
  return cluster;
}

interface Crd extends KubeObject {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly plural: string };
    readonly versions: readonly { readonly name: string; readonly served: boolean }[];
  };
}

async function installCrds(cluster: Cluster): Promise<void> {
  const files = readdirSync(join(repository, "crds")).filter((name) => name.endsWith(".yaml"));
  for (const file of files) {
    const crds = parseObjects(readFileSync(join(repository, "crds", file), "utf8"));
    await cluster.apply(crds);
    for (const { spec } of crds as readonly Crd[]) {
      for (const { name } of spec.versions.filter(({ served }) => served)) {
        await untilServed(cluster, `/apis/${spec.group}/${name}/${spec.names.plural}`);
      }
    }
  }
}

async function untilServed(cluster: Cluster, path: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const { status, text } = await cluster.rest.send({ path });
    if (status === 200) return;
    if (performance.now() > deadline) throw new Error(`${path} is not served: ${status} ${text}`);
    await sleep(25);
  }
}

function createNode(
  cluster: Cluster,
  name: string,
  { labels = {}, addresses = [], podCIDRs = [], kubeletPort = 10_250 }: NodeOptions = {},
): Promise<KubeObject> {
  return cluster.request({
    method: "POST",
    path: "/api/v1/nodes",
    body: {
      metadata: { name, labels: { "kubernetes.io/hostname": name, ...labels } },
      spec: { ...(podCIDRs.length > 0 && { podCIDR: podCIDRs[0], podCIDRs }) },
      status: {
        addresses: addresses.map((address) => ({ type: "InternalIP", address })),
        daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } },
      },
    },
  });
}
