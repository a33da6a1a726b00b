import type { RestClient, RestRequest } from "../../test/support/cluster/rest.js";
import {
  NAMESPACES,
  namespaceOf,
  pod,
  podName,
  podStatus,
  type Size,
  service,
  slice,
} from "./objects.js";

const requestsAtOnce = 64;

/** Creates what a cluster has, each object by the writes and field managers that it has in one. */
export async function populate(
  rest: RestClient,
  size: Size,
  progress: (text: string) => void,
): Promise<void> {
  progress(`${size.services} Services, ${size.slices} EndpointSlices, ${size.pods} Pods`);
  await inParallel(NAMESPACES, async (index) => {
    const body = { metadata: { name: namespaceOf(index) } };
    await rest.call({ method: "POST", path: "/api/v1/namespaces", body });
  });
  const create = (path: string, manager: string, body: object): Promise<unknown> =>
    write(rest, { method: "POST", path: `${path}?fieldManager=${manager}`, body });
  await inParallel(size.services, (index) =>
    create(`/api/v1/namespaces/${namespaceOf(index)}/services`, "helm", service(index)),
  );
  progress("Services are there");
  await inParallel(size.slices, (index) => {
    const path = `/apis/discovery.k8s.io/v1/namespaces/${namespaceOf(index)}/endpointslices`;
    return create(path, "kube-controller-manager", slice(index));
  });
  progress("EndpointSlices are there");
  await inParallel(size.pods, async (index) => {
    const path = `/api/v1/namespaces/${namespaceOf(index >> 1)}/pods`;
    await create(path, "kube-controller-manager", pod(index));
    await write(rest, {
      method: "PATCH",
      path: `${path}/${podName(index)}/status?fieldManager=kubelet`,
      contentType: "application/strategic-merge-patch+json",
      body: { status: podStatus(index) },
    });
  });
  progress("Pods are there");
}

/** The answer, which is large, is not parsed. */
async function write(rest: RestClient, request: RestRequest): Promise<void> {
  const { status, text } = await rest.send(request);
  if (status < 200 || status > 299) throw new Error(`${request.path}: ${status} ${text}`);
}

async function inParallel(count: number, work: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: requestsAtOnce }, worker));
}
