import { setTimeout as sleep } from "node:timers/promises";
import type { RestClient } from "../../test/support/cluster/rest.js";
import { namespaceOf, sliceName } from "./objects.js";

/** Changes to slices, each of another one. */
export interface Changes {
  readonly count: number;
  readonly perSecond: number;
}

const triggerTime = "endpoints.kubernetes.io/last-change-trigger-time";

/**
 * Turns the readiness of one endpoint in each slice; each write carries the time at which it is sent where the endpoint
 * controller writes the time of the change.
 *
 * @param isReady another than before, or nothing changes
 * @returns milliseconds until each write was answered
 */
export async function changeSlices(
  rest: RestClient,
  { count, perSecond }: Changes,
  isReady: boolean,
): Promise<readonly number[]> {
  const begun = performance.now();
  const writes: Promise<number>[] = [];
  for (let index = 0; index < count; index++) {
    const due = begun + (index * 1000) / perSecond;
    const early = due - performance.now();
    if (early > 0) await sleep(early);
    writes.push(changeSlice(rest, index, isReady));
  }
  return Promise.all(writes);
}

async function changeSlice(rest: RestClient, index: number, isReady: boolean): Promise<number> {
  const conditions = "/endpoints/0/conditions/ready";
  const annotation = `/metadata/annotations/${triggerTime.replace("/", "~1")}`;
  const path = `/apis/discovery.k8s.io/v1/namespaces/${namespaceOf(index)}/endpointslices/${sliceName(index)}`;
  const sentMs = performance.now();
  const { status, text } = await rest.send({
    method: "PATCH",
    path: `${path}?fieldManager=kube-controller-manager`,
    contentType: "application/json-patch+json",
    body: [
      { op: "replace", path: conditions, value: isReady },
      { op: "replace", path: annotation, value: new Date().toISOString() },
    ],
  });
  if (status !== 200) throw new Error(`${path}: ${status} ${text}`);
  return performance.now() - sentMs;
}
