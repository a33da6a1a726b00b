import { setTimeout as sleep } from "node:timers/promises";
import type { KubeClient } from "../../kube/client.js";
import { KubeError } from "../../kube/errors.js";
import { cliError } from "../errors.js";
import type { CidrSetSpec } from "./block-list.js";

/** Name of the XdpCidrSet, of the set that it feeds, and of the XdpPolicy that drops it. */
export const blockedName = "sluice-blocked";

const apiVersion = "sluice.dev/v1alpha1";
const setsPath = `/apis/${apiVersion}/xdpcidrsets`;
const policiesPath = `/apis/${apiVersion}/xdppolicies`;
const query = { fieldManager: "kubectl-sluice" };
const labels = { "app.kubernetes.io/managed-by": "kubectl-sluice" };
/** Log watchers on many machines may write at the same time. */
const mostTries = 12;
const retryMs = 50;

export interface StoredObject<Spec> {
  readonly metadata: { readonly generation: number; readonly [field: string]: unknown };
  readonly spec: Spec;
}

export type StoredSet = StoredObject<CidrSetSpec>;

/** Undefined when it is not there. */
export function readBlockedSet(kube: KubeClient): Promise<StoredSet | undefined> {
  return read(kube, `${setsPath}/${blockedName}`);
}

/**
 * Changes the set; makes it when it is not there. When somebody else changes it meanwhile, the change is made anew on
 * what they wrote.
 *
 * @param change undefined: there is nothing to write
 * @returns what is stored then; undefined when it is not there and nothing was to be written
 * @throws KubeError, and what `change` throws
 */
export async function updateBlockedSet<Spec extends CidrSetSpec | undefined>(
  kube: KubeClient,
  change: (spec: CidrSetSpec) => Spec,
): Promise<StoredSet | Extract<Spec, undefined>> {
  for (let tries = 1; ; tries++) {
    const before = await readBlockedSet(kube);
    const spec = change(before?.spec ?? { setName: blockedName });
    if (spec === undefined) return before as StoredSet | Extract<Spec, undefined>;
    const metadata = before?.metadata ?? { name: blockedName, labels };
    const body = { apiVersion, kind: "XdpCidrSet", metadata, spec };
    try {
      return before === undefined
        ? await kube.call({ method: "POST", path: setsPath, query, body })
        : await kube.call({ method: "PUT", path: `${setsPath}/${blockedName}`, query, body });
    } catch (error) {
      if (isTooLarge(error)) {
        throw cliError("SLUICE_BLOCK_FULL", "the list is too large for one object", {
          cause: error,
        });
      }
      if (!isConflict(error) || tries === mostTries) throw error;
      await sleep(retryMs * tries * (0.5 + Math.random()));
    }
  }
}

/**
 * Makes the policy that drops the set, unless it is there: then it is somebody's own, and stays as it is.
 *
 * @throws KubeError; SluiceError SLUICE_BLOCK_UNUSED when it does not name the set
 */
export async function ensureBlockedPolicy(kube: KubeClient): Promise<StoredObject<PolicySpec>> {
  const found = await readBlockedPolicy(kube);
  if (found !== undefined) return checkNamesSet(found);
  const body = {
    apiVersion,
    kind: "XdpPolicy",
    metadata: { name: blockedName, labels },
    spec: {
      priority: 0,
      ingress: [{ name: "blocked", action: "Drop", from: [{ cidrSet: blockedName }] }],
    },
  };
  try {
    return await kube.call({ method: "POST", path: policiesPath, query, body });
  } catch (error) {
    // Another one made it meanwhile.
    const other = isConflict(error) ? await readBlockedPolicy(kube) : undefined;
    if (other === undefined) throw error;
    return checkNamesSet(other);
  }
}

interface PolicySpec {
  readonly ingress?: readonly {
    readonly action: string;
    readonly from?: readonly { readonly cidrSet?: string }[];
  }[];
}

function readBlockedPolicy(kube: KubeClient): Promise<StoredObject<PolicySpec> | undefined> {
  return read(kube, `${policiesPath}/${blockedName}`);
}

function checkNamesSet(policy: StoredObject<PolicySpec>): StoredObject<PolicySpec> {
  const drops = policy.spec.ingress?.some(
    ({ action, from }) =>
      action === "Drop" && from?.some(({ cidrSet }) => cidrSet === blockedName) === true,
  );
  if (drops === true) return policy;
  throw cliError(
    "SLUICE_BLOCK_UNUSED",
    `the XdpPolicy ${blockedName} has no rule that drops what is in the set ${blockedName}`,
  );
}

async function read<T>(kube: KubeClient, path: string): Promise<T | undefined> {
  try {
    return await kube.call<T>({ path });
  } catch (error) {
    // Without the CRD it is 404, too, which then fails the write.
    if (error instanceof KubeError && error.status === 404) return undefined;
    throw error;
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof KubeError && error.code === "SLUICE_KUBE_CONFLICT";
}

/** etcd takes less than the API server; the size of entries decides which of them refuses first. */
function isTooLarge(error: unknown): boolean {
  return (
    error instanceof KubeError &&
    (error.status === 413 ||
      /request is too large|too large|trying to send message larger/i.test(error.problem))
  );
}
