import type { KubeClient, KubeRequest } from "../../operator/kube/client.js";
import { KubeError } from "../../operator/kube/errors.js";

/** Answers one request; what it throws is what the caller gets. */
export type Answer = (request: KubeRequest) => unknown;

/** A client whose API server is a function: for time and faults, which a real one does not give at will. */
export function fakeClient(answer: Answer): KubeClient & { readonly requests: KubeRequest[] } {
  const requests: KubeRequest[] = [];
  return {
    requests,
    namespace: "sluice-system",
    server: () => "https://192.0.2.1:6443",
    async call<T>(request: KubeRequest): Promise<T> {
      requests.push(request);
      return structuredClone(await answer(request)) as T;
    },
    stream: () => Promise.reject(new Error("the fake has no streams")),
    close: () => {},
  };
}

export function kubeError(status: number, retryAfterMs?: number): KubeError {
  const code = status === 404 ? "SLUICE_KUBE_NOT_FOUND" : "SLUICE_KUBE_FAILED";
  return new KubeError(code, `answered with ${status}`, {
    status,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}

interface Stored {
  metadata: { name: string; resourceVersion?: string; [field: string]: unknown };
  [field: string]: unknown;
}

/** One object by POST, PUT with resourceVersion and GET, as the API server keeps a Lease. */
export class StoredObject {
  object: Stored | undefined;
  writes = 0;
  #version = 100;

  answer(request: KubeRequest): unknown {
    const { method = "GET", body } = request;
    if (method === "GET") {
      if (this.object === undefined) throw kubeError(404);
      return this.object;
    }
    const wanted = structuredClone(body) as Stored;
    if (method === "POST" && this.object !== undefined) throw kubeError(409);
    if (method === "PUT") {
      if (this.object === undefined) throw kubeError(404);
      const isCurrent = wanted.metadata.resourceVersion === this.object.metadata.resourceVersion;
      if (!isCurrent) throw kubeError(409);
    }
    this.writes += 1;
    this.#version += 1;
    this.object = {
      ...wanted,
      metadata: { ...wanted.metadata, resourceVersion: String(this.#version) },
    };
    return this.object;
  }
}
