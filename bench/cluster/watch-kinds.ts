import type { KubeClient } from "../../operator/kube/client.js";
import { createKubeClient } from "../../operator/kube/http-client.js";
import { keyOf } from "../../operator/kube/object.js";
import { Reflector } from "../../operator/kube/reflector.js";
import { openServiceAccount } from "../../operator/kube/service-account.js";
import { Interner } from "../../operator/model/interner.js";
import { projectClusterObject } from "../../operator/model/project-cluster.js";
import type { ClusterRecord } from "../../operator/model/records-cluster.js";
import { isSameRecord } from "../../operator/model/same-record.js";
import { EndpointSlice, Pod, Service } from "../../operator/source/cluster-messages.js";
import type { Report } from "./probe.js";

const origin = Object.freeze({ source: "api" });
const targets = {
  Service: { path: "/api/v1/services", message: Service },
  EndpointSlice: { path: "/apis/discovery.k8s.io/v1/endpointslices", message: EndpointSlice },
  Pod: { path: "/api/v1/pods", message: Pod },
} as const;

/** Keeps the records of the three kinds; resolves when all are in sync. */
export async function watchKinds(client: KubeClient, report: Report): Promise<void> {
  const interner = new Interner();
  await Promise.all(
    (["Service", "EndpointSlice", "Pod"] as const).map(
      (kind) => new Promise<void>((resolve) => watchKind(kind, client, interner, report, resolve)),
    ),
  );
}

function watchKind(
  kind: keyof typeof targets,
  client: KubeClient,
  interner: Interner,
  report: Report,
  onSynced: () => void,
): void {
  const records = new Map<string, Omit<ClusterRecord, "origin">>();
  let isSynced = false;
  const reflector = new Reflector({
    client,
    target: targets[kind],
    sink: {
      upsert(object) {
        const { draft } = projectClusterObject(kind, object, origin, interner);
        if (draft === undefined) return;
        const key = keyOf(object);
        const before = records.get(key);
        if (before !== undefined && isSameRecord(draft, before as typeof draft)) return;
        records.set(key, draft);
        if (isSynced && draft.kind === "EndpointSlice") report.changed(draft.triggeredAtMs);
      },
      remove: (key) => void records.delete(key),
      retain(keys) {
        for (const key of records.keys()) if (!keys.has(key)) records.delete(key);
      },
      stateChanged() {
        const state = reflector.state();
        if (state.error !== undefined) console.error(state.error.message);
        if (isSynced || !state.isSynced) return;
        isSynced = true;
        onSynced();
      },
    },
  });
  reflector.start();
}

/** A client with the rights of an agent. */
export async function agentClient(accountFolder: string, server: string): Promise<KubeClient> {
  const connection = await openServiceAccount(accountFolder, { servers: [server] });
  return createKubeClient(connection, { userAgent: "sluice-bench" });
}
