import type { KubeClient } from "../../kube/client.js";
import { KubeError } from "../../kube/errors.js";

/** What the API server has of an XdpPolicy. */
export interface ReportedPolicy {
  readonly name: string;
  readonly priority: number;
  readonly mode: string;
  /** Nodes enforcing of nodes desired: `3/3`; `-` when nobody has reported. */
  readonly enforcing: string;
  readonly isEnforced: boolean;
  /** Why it is not accepted, or degraded. */
  readonly remarks: readonly string[];
}

interface StoredPolicy {
  readonly metadata: { readonly name: string; readonly generation: number };
  readonly spec: { readonly priority: number; readonly mode: string };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly nodes?: { readonly desired?: number; readonly enforcing?: number };
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly message: string;
    }[];
  };
}

/** In the order of judgement; undefined when the user may not list them, or their kind is not installed. */
export async function readPolicies(
  kube: KubeClient,
): Promise<readonly ReportedPolicy[] | undefined> {
  try {
    const path = "/apis/sluice.dev/v1alpha1/xdppolicies";
    const { items } = await kube.call<{ readonly items: readonly StoredPolicy[] }>({ path });
    return items
      .map(toReported)
      .toSorted((a, b) => a.priority - b.priority || (a.name < b.name ? -1 : 1));
  } catch (error) {
    if (error instanceof KubeError && (error.status === 403 || error.status === 404))
      return undefined;
    throw error;
  }
}

/** States of conditions that people should read the message of. */
const bad: Readonly<Record<string, string>> = { Accepted: "False", Degraded: "True" };

function toReported({ metadata, spec, status = {} }: StoredPolicy): ReportedPolicy {
  const { desired = 0, enforcing = 0 } = status.nodes ?? {};
  const isReported = status.nodes !== undefined;
  const isStale = isReported && (status.observedGeneration ?? 0) < metadata.generation;
  const remarks = (status.conditions ?? [])
    .filter((condition) => bad[condition.type] === condition.status)
    .map(({ message }) => message);
  if (isStale) remarks.unshift("its newest form is not reported yet");
  return {
    name: metadata.name,
    priority: spec.priority,
    mode: spec.mode,
    enforcing: isReported ? `${enforcing}/${desired}` : "-",
    isEnforced: isReported && !isStale && enforcing >= desired,
    remarks,
  };
}
