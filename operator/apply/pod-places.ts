import type { Located, PlaceQuery } from "../api/engine.js";
import { SluiceError } from "../errors.js";
import { findOwner } from "../model/find-owner.js";
import { readLooseAddress } from "../model/loose-cidr.js";
import { nearPodsQuestion } from "../model/near-pods.js";
import { type Place, type PodFacts, podFacts } from "../model/pod-facts.js";
import type { Cidr, NodeRecord } from "../model/records.js";
import type { LocalEntry, LocalPodTable } from "./local-pod-table.js";
import type { PodLink } from "./pod-link.js";
import { keyOf } from "./pod-objects.js";

/** What an agent knows of the cluster around its pods. */
export interface Surroundings {
  readonly nodeName: string;
  readonly nodes: ReadonlyMap<string, NodeRecord>;
  readonly local: LocalPodTable;
  readonly ownAddresses: readonly Cidr[];
}

/** @throws SluiceError SLUICE_UNKNOWN_POD, SLUICE_CIDR */
export function locate(around: Surroundings, query: PlaceQuery): Located {
  const place =
    query.pod === undefined ? placeOf(around, query.address) : podPlace(around, query.pod);
  const isAttached =
    place.kind === "pod" && attachedPod(around.local, keyOf(place.pod)) !== undefined;
  return { node: around.nodeName, place, isAttached };
}

/** The pod of this node that has this key; of pods that no source has told of, by what their runtime said. */
export function attachedPod(local: LocalPodTable, key: string): LocalEntry | undefined {
  return [...local.entries.values()].find(({ record, link: { pod } }) =>
    record !== undefined
      ? keyOf(record) === key
      : pod.namespace !== undefined &&
        pod.name !== undefined &&
        `${pod.namespace}/${pod.name}` === key,
  );
}

function podPlace({ nodeName, local }: Surroundings, key: string): Place {
  const record = local.pods.get(key);
  if (record !== undefined) return { kind: "pod", pod: podFacts(record) };
  const entry = attachedPod(local, key);
  if (entry === undefined) throw unknownPod(local, key);
  return { kind: "pod", pod: factsOfLink(entry, key, nodeName) };
}

function placeOf({ nodeName, nodes, local, ownAddresses }: Surroundings, text: string): Place {
  const address = readLooseAddress(text);
  if (address === undefined) {
    throw new SluiceError("SLUICE_CIDR", `${JSON.stringify(text)} is no address`);
  }
  const own = { name: nodeName, addresses: ownAddresses };
  const owner = findOwner(address, local.pods.values(), [own, ...nodes.values()]);
  return owner.kind === "pod" ? { kind: "pod", pod: podFacts(owner.pod) } : owner;
}

function factsOfLink({ link }: LocalEntry, key: string, node: string): PodFacts {
  const [namespace = "", name = ""] = key.split("/");
  const { ipv4, ipv6 } = link.addresses;
  const addresses = [ipv4, ipv6].flatMap((one) => one ?? []);
  return { namespace, name, node, addresses, namedPorts: [], hostNetwork: false };
}

function unknownPod(local: LocalPodTable, key: string): SluiceError {
  const question = nearPodsQuestion(key, local.pods.keys());
  return new SluiceError("SLUICE_UNKNOWN_POD", `there is no pod ${key}`, {
    ...(question !== undefined && { remedy: question }),
  });
}

/** @throws SluiceError SLUICE_UNKNOWN_POD, SLUICE_NOT_ATTACHED */
export function needAttached({ nodeName, local }: Surroundings, key: string): LocalEntry {
  const entry = attachedPod(local, key);
  if (entry !== undefined) return entry;
  const record = local.pods.get(key);
  if (record === undefined) throw unknownPod(local, key);
  const problem = `the pod ${key} is not attached to node ${nodeName}`;
  const { nodeName: node, isHostNetwork } = record;
  throw new SluiceError("SLUICE_NOT_ATTACHED", problem, {
    remedy: isHostNetwork
      ? "It is in its node's own network, which pods' policies do not judge"
      : node === undefined || node === nodeName
        ? "Look at its events: kubectl describe pod"
        : `It is on node ${node}: ask the agent there`,
  });
}

/** The record of a pod that is being attached has not come in time. */
export function noPod({ pod: { namespace, name, uid } }: PodLink, waitedMs: number): SluiceError {
  const which = name === undefined ? "no pod that the runtime named" : `${namespace}/${name}`;
  const problem = `the API server has not told of pod ${which} (uid ${uid ?? "not given"}) in ${waitedMs / 1000} s`;
  return new SluiceError("SLUICE_NO_POD", problem, {
    remedy: "It is tried again; check that the pod is there, and the agent's source",
  });
}
