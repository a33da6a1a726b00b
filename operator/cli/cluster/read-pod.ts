import { SluiceError } from "../../errors.js";
import type { KubeClient } from "../../kube/client.js";
import { KubeError } from "../../kube/errors.js";
import { Interner } from "../../model/interner.js";
import { nearPodsQuestion } from "../../model/near-pods.js";
import { type Place, podFacts } from "../../model/pod-facts.js";
import { projectClusterObject } from "../../model/project-cluster.js";

/** As many names are looked at for one that is near. */
const mostNames = 500;

/**
 * A pod by `NAMESPACE/NAME`, as the API server has it.
 *
 * @throws KubeError; SluiceError SLUICE_UNKNOWN_POD
 */
export async function readPod(kube: KubeClient, key: string): Promise<Place> {
  const [namespace = "", name = ""] = key.split("/");
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`;
  let object: unknown;
  try {
    object = await kube.call({ path: `${path}/${encodeURIComponent(name)}` });
  } catch (error) {
    if (!(error instanceof KubeError) || error.status !== 404) throw error;
    throw await unknownPod(kube, path, key, error);
  }
  const { draft, problems } = projectClusterObject("Pod", object, { source: key }, new Interner());
  if (draft !== undefined) return { kind: "pod", pod: podFacts(draft) };
  throw new SluiceError(
    "SLUICE_UNKNOWN_POD",
    `the pod ${key} cannot be read: ${problems[0]?.message}`,
  );
}

async function unknownPod(
  kube: KubeClient,
  path: string,
  key: string,
  cause: KubeError,
): Promise<SluiceError> {
  const question = await namesIn(kube, path).then(
    (names) => nearPodsQuestion(key, names),
    /* Who may get one pod may not list all. */
    () => undefined,
  );
  return new SluiceError("SLUICE_UNKNOWN_POD", `there is no pod ${key}`, {
    cause,
    ...(question !== undefined && { remedy: question }),
  });
}

async function namesIn(kube: KubeClient, path: string): Promise<readonly string[]> {
  const page = await kube.call<PodPage>({ path, query: { limit: mostNames } });
  return page.items.flatMap(({ metadata }) => `${metadata?.namespace}/${metadata?.name}`);
}

interface PodPage {
  readonly items: readonly {
    readonly metadata?: { readonly namespace?: string; readonly name?: string };
  }[];
}
