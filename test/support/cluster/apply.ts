import { parseAllDocuments } from "yaml";
import type { RestClient } from "./rest.js";

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

interface Resource {
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** Objects of YAML with any number of documents. */
export function parseObjects(yaml: string): readonly KubeObject[] {
  return parseAllDocuments(yaml)
    .map((document) => document.toJS() as KubeObject | null)
    .filter((object) => object !== null);
}

/**
 * Creates or changes objects by server-side apply, and resolves with what they are then. Where the objects of a
 * kind are, the API server tells.
 */
export function createApply(client: RestClient): (object: KubeObject) => Promise<KubeObject> {
  const known = new Map<string, readonly Resource[]>();

  const find = async (base: string, kind: string): Promise<Resource | undefined> => {
    const isIt = (resource: Resource) => resource.kind === kind && !resource.name.includes("/");
    const found = known.get(base)?.find(isIt);
    if (found !== undefined) return found;
    const { resources } = await client.call<{ readonly resources: readonly Resource[] }>({
      path: base,
    });
    known.set(base, resources);
    return resources.find(isIt);
  };

  const pathOf = async ({ apiVersion, kind, metadata }: KubeObject): Promise<string> => {
    const base = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const resource = await find(base, kind);
    if (resource === undefined) throw new Error(`the API server has no ${kind} in ${apiVersion}`);
    const { name, namespace = "default" } = metadata;
    const scope = resource.namespaced ? `/namespaces/${namespace}` : "";
    return `${base}${scope}/${resource.name}/${encodeURIComponent(name)}`;
  };

  return async (object: KubeObject): Promise<KubeObject> =>
    client.call({
      method: "PATCH",
      path: `${await pathOf(object)}?fieldManager=test&force=true`,
      contentType: "application/apply-patch+yaml",
      body: object,
    });
}
