import type { KubeClient } from "../../operator/kube/client.js";
import { createKubeClient } from "../../operator/kube/http-client.js";
import type { KubeObject } from "../../operator/kube/object.js";
import { keyOf } from "../../operator/kube/object.js";
import { Reflector } from "../../operator/kube/reflector.js";
import type { Cluster } from "../support/cluster/cluster.js";
import { adminConnection } from "../support/cluster/connection.js";

export const configMaps = "/api/v1/namespaces/default/configmaps";

/** Writes and removes ConfigMaps, each with one text in it. */
export interface ConfigMaps {
  put(name: string, text: string): Promise<void>;
  remove(name: string): Promise<void>;
}

export function configMapsOf(cluster: Cluster): ConfigMaps {
  return {
    async put(name, text) {
      await cluster.apply({
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name },
        data: { text },
      });
    },
    async remove(name) {
      await cluster.request({ method: "DELETE", path: `${configMaps}/${name}` });
    },
  };
}

/** What a reflector of the ConfigMaps has told. */
export interface Seen {
  readonly reflector: Reflector;
  /** That it asked first. */
  readonly server: string;
  /** Texts by name, as they are according to what was told. */
  texts(): Readonly<Record<string, string>>;
  /** What was told, in order: `+name`, `-name`, `=n` for a list of n. */
  readonly told: readonly string[];
}

export interface ReflectOptions {
  readonly client?: KubeClient;
  readonly silenceMs?: number;
}

/** Starts a reflector that ends with the cluster. */
export function reflect(cluster: Cluster, options: ReflectOptions = {}): Seen {
  const client = options.client ?? adminClient(cluster);
  const held = new Map<string, string>();
  const told: string[] = [];
  const reflector = new Reflector({
    client,
    target: { path: configMaps, labelSelector: "!ignored" },
    ...(options.silenceMs !== undefined && { silenceMs: options.silenceMs }),
    sink: {
      upsert(object) {
        told.push(`+${object.metadata.name}`);
        held.set(keyOf(object), textOf(object));
      },
      remove(key) {
        told.push(`-${key.slice(key.indexOf("/") + 1)}`);
        held.delete(key);
      },
      retain(keys) {
        told.push(`=${keys.size}`);
        for (const key of held.keys()) if (!keys.has(key)) held.delete(key);
      },
      stateChanged: () => {},
    },
  });
  reflector.start();
  cluster.onClose(() => reflector.close());
  const texts = () =>
    Object.fromEntries([...held].map(([key, text]) => [key.slice(key.indexOf("/") + 1), text]));
  return { reflector, server: client.server(), texts, told };
}

export function adminClient(cluster: Cluster, servers?: string[]): KubeClient {
  const client = createKubeClient(adminConnection(cluster, servers), { userAgent: "sluice-test" });
  cluster.onClose(() => client.close());
  return client;
}

function textOf(object: KubeObject): string {
  return (object["data"] as { text: string }).text;
}
