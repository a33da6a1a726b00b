import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Credentials, KubeConnection, TlsOptions } from "./connection.js";
import { KubeError } from "./errors.js";

/** Where Kubernetes mounts the service account of a pod. */
export const podServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

export interface ServiceAccountOptions {
  /** Base URLs of the API servers; at least one. */
  readonly servers: readonly string[];
  /** A file that was read is read again after this. Default 10,000. */
  readonly rereadMs?: number;
}

/**
 * A connection by the files of a service account: `token`, `ca.crt` and `namespace`. The kubelet replaces token and CA
 * while the pod runs, so both are read again and again.
 *
 * @param folder {@link podServiceAccount} in a pod
 * @throws KubeError SLUICE_KUBE_CONFIG
 */
export async function openServiceAccount(
  folder: string,
  { servers, rereadMs = 10_000 }: ServiceAccountOptions,
): Promise<KubeConnection> {
  const token = rereading(join(folder, "token"), rereadMs, credentialsOf);
  const ca = rereading(join(folder, "ca.crt"), rereadMs, (text): TlsOptions => ({ ca: text }));
  // What is missing from the start is a wrong path; what goes missing later is kept from before.
  await Promise.all([token(false), ca(false)]);
  const namespace = await readFile(join(folder, "namespace"), "utf8").catch(() => "default");
  return {
    servers,
    namespace: namespace.trim(),
    tls: () => ca(false),
    credentials: token,
  };
}

/** Servers from the environment that Kubernetes gives to each pod; none outside of a pod. */
export function serversOfEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = "443" } = environment;
  if (host === undefined || host === "") return [];
  return [`https://${host.includes(":") ? `[${host}]` : host}:${port}`];
}

function credentialsOf(text: string): Credentials {
  return { headers: { authorization: `Bearer ${text.trim()}` } };
}

/**
 * The content of a file, in another shape: the same object as long as the text is the same. When the file cannot be
 * read any more, what it last held counts.
 */
function rereading<T>(
  path: string,
  rereadMs: number,
  shape: (text: string) => T,
): (now: boolean) => Promise<T> {
  let held: { readonly text: string; readonly value: T } | undefined;
  let readAtMs = 0;
  return async (now) => {
    if (held !== undefined && !now && performance.now() - readAtMs < rereadMs) return held.value;
    try {
      const text = await readFile(path, "utf8");
      readAtMs = performance.now();
      if (held?.text !== text) held = { text, value: shape(text) };
    } catch (cause) {
      if (held === undefined) {
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new KubeError("SLUICE_KUBE_CONFIG", `cannot read ${path}: ${why}`, { cause });
      }
    }
    return held.value;
  };
}
