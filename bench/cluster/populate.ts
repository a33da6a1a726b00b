import { randomUUID } from "node:crypto";
import type { KubeObject } from "../../test/support/cluster/apply.js";
import type { Cluster } from "../../test/support/cluster/cluster.js";
import type { RestClient, RestRequest } from "../../test/support/cluster/rest.js";
import {
  clusterIpOf,
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
  cluster: Cluster,
  size: Size,
  progress: (text: string) => void,
): Promise<void> {
  const { rest } = cluster;
  progress(`${size.services} Services, ${size.slices} EndpointSlices, ${size.pods} Pods`);
  await inParallel(NAMESPACES, async (index) => {
    const body = { metadata: { name: namespaceOf(index) } };
    await rest.call({ method: "POST", path: "/api/v1/namespaces", body });
  });
  const create = (path: string, manager: string, body: object): Promise<unknown> =>
    write(rest, { method: "POST", path: `${path}?fieldManager=${manager}`, body });
  await createServices(cluster, size.services);
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

/**
 * The API server gives out fifty cluster IPs a second at most, so one Service is created through it, and the others are
 * written to etcd as copies of it, each with the IPAddress that says that its address is taken.
 */
async function createServices(cluster: Cluster, count: number): Promise<void> {
  const { rest } = cluster;
  const path = `/api/v1/namespaces/${namespaceOf(0)}/services?fieldManager=helm`;
  const { metadata, spec } = service(0);
  const body = { metadata, spec: { ...spec, clusterIP: clusterIpOf(0) } };
  const first = await rest.call<KubeObject>({ method: "POST", path, body });
  const ipAddresses = "/apis/networking.k8s.io/v1/ipaddresses";
  const address = await rest.call<KubeObject>({ path: `${ipAddresses}/${clusterIpOf(0)}` });
  await inParallel(count - 1, (at) => {
    const copy = copyService(first, address, at + 1);
    return cluster.putEtcd({
      [`/registry/ipaddresses/${copy.address.metadata.name}`]: JSON.stringify(copy.address),
      [`/registry/services/specs/${namespaceOf(at + 1)}/${copy.service.metadata.name}`]:
        JSON.stringify(copy.service),
    });
  });
}

function copyService(first: KubeObject, address: KubeObject, index: number) {
  const { metadata, spec } = service(index);
  const clusterIP = clusterIpOf(index);
  const own = { uid: randomUUID(), resourceVersion: undefined };
  const namespace = namespaceOf(index);
  const parentRef = { group: "", resource: "services", namespace, name: metadata.name };
  return {
    service: {
      ...first,
      metadata: { ...first.metadata, ...metadata, ...own, namespace },
      spec: { ...(first["spec"] as object), ...spec, clusterIP, clusterIPs: [clusterIP] },
    },
    address: {
      ...address,
      metadata: { ...address.metadata, ...own, name: clusterIP },
      spec: { parentRef },
    },
  };
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
