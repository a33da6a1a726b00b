/** The informer of @kubernetes/client-node, as its README shows it. */
import {
  CoreV1Api,
  DiscoveryV1Api,
  type Informer,
  KubeConfig,
  type KubernetesObject,
  makeInformer,
} from "@kubernetes/client-node";
import { runSubject } from "./probe.js";

const [, account = ""] = process.argv.slice(2);
const triggerTime = "endpoints.kubernetes.io/last-change-trigger-time";

const config = new KubeConfig();
config.loadFromFile(`${account}/kubeconfig`);
const core = config.makeApiClient(CoreV1Api);
const discovery = config.makeApiClient(DiscoveryV1Api);

runSubject(async (report) => {
  const services = makeInformer(config, "/api/v1/services", () =>
    core.listServiceForAllNamespaces(),
  );
  const slices = makeInformer(config, "/apis/discovery.k8s.io/v1/endpointslices", () =>
    discovery.listEndpointSliceForAllNamespaces(),
  );
  const pods = makeInformer(config, "/api/v1/pods", () => core.listPodForAllNamespaces());
  slices.on("update", ({ metadata }) => {
    const text = metadata?.annotations?.[triggerTime];
    if (text !== undefined) report.changed(Date.parse(text));
  });
  await Promise.all([begin(services), begin(slices), begin(pods)]);
});

/** Resolves when the list is there. */
async function begin<T extends KubernetesObject>(
  informer: Informer<T> & { start(): Promise<void> },
): Promise<void> {
  informer.on("error", (error: unknown) => {
    console.error(error);
    setTimeout(() => void informer.start(), 5000);
  });
  await informer.start();
}
