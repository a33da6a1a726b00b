import type { Logger } from "pino";
import { SluiceError } from "../errors.js";
import type { KubeClient } from "../kube/client.js";
import type { KubeConnection } from "../kube/connection.js";
import { createKubeClient } from "../kube/http-client.js";
import { openKubeconfig } from "../kube/kubeconfig.js";
import { openServiceAccount, serversOfEnvironment } from "../kube/service-account.js";
import type { ClusterKind } from "../model/project-cluster.js";
import { KubernetesSource } from "../source/kubernetes.js";
import { apiServerEndpoints, podKinds, policyKinds } from "../source/kubernetes-kinds.js";
import { ManifestFolder } from "../source/manifest-folder.js";
import type { Source } from "../source/source.js";
import { ClusterView } from "../status/cluster-view.js";
import { version } from "../version.js";
import type { SourceOptions } from "./options.js";

export interface OpenedSource {
  readonly source: Source;
  /** Missing for a folder, to which nothing is reported. */
  readonly cluster?: {
    readonly client: KubeClient;
    readonly view: ClusterView;
    readonly leaseNamespace: string;
  };
}

/** What the pods of a node are judged by, besides Nodes. */
const POD_KINDS = [
  "Namespace",
  "Pod",
  "NetworkPolicy",
  "ClusterNetworkPolicy",
] as const satisfies readonly ClusterKind[];

/** @throws SluiceError when the configuration names no source that can be read */
export async function openSource(
  options: SourceOptions,
  nodeName: string,
  hasPodNetwork: boolean,
  logger: Logger,
): Promise<OpenedSource> {
  if (options.type === "folder") {
    const clusterKinds = hasPodNetwork ? POD_KINDS : [];
    return { source: new ManifestFolder(options.folder, { clusterKinds }) };
  }
  const client = createKubeClient(await connect(options), {
    userAgent: `sluice-agent/${version} (${process.platform}/${process.arch})`,
    onFailOver: (from, to, error) => {
      logger.warn({ from, to, code: error.code }, `${error.problem}; the next server is asked`);
    },
  });
  const view = new ClusterView();
  return {
    source: new KubernetesSource(client, {
      nodeName,
      observer: view,
      kinds: [...policyKinds, apiServerEndpoints, ...(hasPodNetwork ? podKinds : [])],
    }),
    cluster: { client, view, leaseNamespace: options.leaseNamespace ?? client.namespace },
  };
}

async function connect(
  options: Extract<SourceOptions, { type: "kubernetes" }>,
): Promise<KubeConnection> {
  const { kubeconfig, serviceAccount, servers } = options;
  if (serviceAccount === undefined) {
    return openKubeconfig(kubeconfig === undefined ? {} : { file: kubeconfig });
  }
  const known = servers.length > 0 ? servers : serversOfEnvironment(process.env);
  if (known.length === 0) {
    throw new SluiceError("SLUICE_KUBE_CONFIG", "it is not known where the API server is", {
      remedy: "Give --api-server, or run in a pod, where KUBERNETES_SERVICE_HOST is set",
    });
  }
  return openServiceAccount(serviceAccount, { servers: known });
}
