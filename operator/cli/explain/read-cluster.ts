import type { Readable } from "node:stream";
import type { ExplainInput } from "../../compile/pod-explainer.js";
import { Interner } from "../../model/interner.js";
import { projectClusterObject } from "../../model/project-cluster.js";
import { projectNode } from "../../model/project-node.js";
import { recordOf } from "../../model/projection.js";
import { type Finding, formatPath } from "../../model/finding.js";
import type { NodeRecord, Origin, Problem } from "../../model/records.js";
import type { ClusterRecord } from "../../model/records-cluster.js";
import { expandList } from "../../source/expand-list.js";
import { fileProblem, problemOfError } from "../../source/loaded-file.js";
import { readManifestFile } from "../../source/manifest-file.js";
import { parseManifestText, type TextDocument } from "../../source/manifest-text.js";
import { fileLimitBytes, listFiles } from "../read-manifests.js";
import { giveAddresses, type GivenAddress } from "./give-addresses.js";
import { unknownFields } from "./policy-fields.js";

/** What is read, each in the version that is known. */
const kinds = {
  Pod: "v1",
  Namespace: "v1",
  Node: "v1",
  NetworkPolicy: "networking.k8s.io/v1",
  ClusterNetworkPolicy: "policy.networking.k8s.io/v1alpha2",
} as const;
type Kind = keyof typeof kinds;
type Read = Extract<ClusterRecord, { kind: Kind }> | NodeRecord;

/** The cluster that manifests describe. */
export interface ManifestCluster {
  readonly input: ExplainInput;
  /** Pods whose manifest has no address, with the one that they were given. */
  readonly given: readonly GivenAddress[];
  /** Objects of policies that are none of Kubernetes' own, which are not judged by. */
  readonly foreignPolicies: readonly string[];
  readonly problems: readonly Problem[];
}

/**
 * Reads manifests as `kubectl apply -f` takes them: files, folders and all below them, and `-` for what is piped in. What
 * the API server would fill in is filled in.
 *
 * @throws SluiceError SLUICE_FILE when a path itself cannot be read
 */
export async function readCluster(
  paths: readonly string[],
  stdin: Readable,
): Promise<ManifestCluster> {
  const reader = new ClusterReader();
  for (const path of new Set(paths)) {
    if (path === "-") {
      reader.add("-", await textOf(stdin));
      continue;
    }
    for (const [file, failure] of await listFiles(path)) {
      try {
        if (failure !== undefined) throw failure;
        reader.add(file, (await readManifestFile(file, fileLimitBytes)).text);
      } catch (error) {
        reader.problems.push(problemOfError(file, error));
      }
    }
  }
  return reader.finish();
}

async function textOf(stdin: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stdin) chunks.push(Buffer.from(chunk as Uint8Array | string));
  return Buffer.concat(chunks).toString();
}

class ClusterReader {
  readonly problems: Problem[] = [];
  readonly #interner = new Interner();
  readonly #records = new Map<string, Read>();
  readonly #foreign = new Set<string>();

  add(path: string, text: string): void {
    const { documents, faults } = parseManifestText(text);
    const remedy = "Correct it";
    for (const { code, line, message } of faults ?? []) {
      this.problems.push(fileProblem(code, path, message, { line, remedy }));
    }
    /* To tell a line of JSON is to parse it once more: of thousands of objects their names must do. */
    const hasLines = !/^\s*[{[]/.test(text);
    for (const document of documents ?? []) this.#addDocument(path, document, hasLines);
  }

  finish(): ManifestCluster {
    const of = <K extends Kind>(kind: K) =>
      [...this.#records.values()].filter(
        (record): record is Extract<Read, { kind: K }> => record.kind === kind,
      );
    const nodes = of("Node");
    const { pods, given } = giveAddresses(of("Pod"), nodes);
    return {
      input: {
        pods: new Map(pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod])),
        namespaces: new Map(of("Namespace").map((one) => [one.name, one])),
        nodes,
        networkPolicies: of("NetworkPolicy"),
        clusterNetworkPolicies: of("ClusterNetworkPolicy"),
      },
      given,
      foreignPolicies: [...this.#foreign].toSorted(),
      problems: this.problems,
    };
  }

  #addDocument(path: string, document: TextDocument, hasLines: boolean): void {
    let value: unknown;
    try {
      value = document.read();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.problems.push(fileProblem("SLUICE_YAML_SYNTAX", path, message, document));
      return;
    }
    for (const item of expandList(value)) {
      const line = hasLines ? document.lineOf(item.path) : undefined;
      this.#addObject(item.value, { source: path, ...(line !== undefined && { line }) });
    }
  }

  #addObject(value: unknown, origin: Origin): void {
    const { apiVersion, kind, metadata } = (value ?? {}) as Manifest;
    if (typeof kind !== "string" || typeof apiVersion !== "string") {
      const missing = typeof kind === "string" ? "apiVersion" : "kind";
      const message = `the object has no ${missing}`;
      this.problems.push(fileProblem("SLUICE_NOT_AN_OBJECT", origin.source, message, origin));
      return;
    }
    if (!isKind(kind) || !isOwnGroup(kind, apiVersion)) {
      if (kind.endsWith("NetworkPolicy")) this.#foreign.add(`${kind} of ${apiVersion}`);
      return;
    }
    if (apiVersion !== kinds[kind]) {
      this.problems.push({
        ...fileProblem(
          "SLUICE_UNKNOWN_VERSION",
          origin.source,
          `version ${apiVersion} is not known`,
          {
            line: origin.line,
            remedy: `Write apiVersion: ${kinds[kind]}`,
          },
        ),
        kind,
        field: "apiVersion",
        ...(typeof metadata?.name === "string" && { name: metadata.name }),
      });
      return;
    }
    const record =
      kind === "Node" ? this.#readNode(value, origin) : this.#read(kind, value, origin);
    if (record !== undefined) this.#keep(record);
  }

  #read(kind: Exclude<Kind, "Node">, value: unknown, origin: Origin): Read | undefined {
    const { draft, problems } = projectClusterObject(kind, value, origin, this.#interner);
    this.problems.push(...problems);
    if (draft === undefined) return undefined;
    const unknown = kind === "NetworkPolicy" ? unknownFields(value) : [];
    for (const { path, ...finding } of unknown) {
      const name = "namespace" in draft ? `${draft.namespace}/${draft.name}` : draft.name;
      this.problems.push({ ...finding, origin, kind, name, field: formatPath(path) });
    }
    return unknown.length > 0 ? undefined : recordOf<Exclude<Read, NodeRecord>>(draft, origin);
  }

  #readNode(value: unknown, origin: Origin): NodeRecord | undefined {
    const findings: Finding[] = [];
    const name = (value as Manifest).metadata?.name;
    if (typeof name !== "string" || name === "") {
      this.problems.push(fileProblem("SLUICE_NAME", origin.source, "the Node has no name", origin));
      return undefined;
    }
    const draft = projectNode(value, { nowMs: 0, faults: undefined, findings });
    for (const { path, ...finding } of findings) {
      this.problems.push({ ...finding, origin, kind: "Node", name, field: formatPath(path) });
    }
    return findings.some(({ severity }) => severity === "error")
      ? undefined
      : recordOf<NodeRecord>(draft, origin);
  }

  #keep(record: Read): void {
    const name = "namespace" in record ? `${record.namespace}/${record.name}` : record.name;
    const key = `${record.kind} ${name}`;
    const first = this.#records.get(key);
    if (first === undefined) {
      this.#records.set(key, record);
      return;
    }
    const { kind, origin } = record;
    const place = first.origin.line === undefined ? "" : `:${first.origin.line}`;
    const message = `the same ${kind} is defined at ${first.origin.source}${place}`;
    this.problems.push({
      ...fileProblem("SLUICE_DUPLICATE_OBJECT", origin.source, message, origin),
      kind,
      name,
    });
  }
}

interface Manifest {
  readonly apiVersion?: unknown;
  readonly kind?: unknown;
  readonly metadata?: { readonly name?: unknown };
}

function isKind(kind: string): kind is Kind {
  return Object.hasOwn(kinds, kind);
}

/** Also of an older or newer version. Others have kinds of the same names. */
function isOwnGroup(kind: Kind, apiVersion: string): boolean {
  const group = (version: string) => (version.includes("/") ? version.split("/", 1)[0] : "");
  return (
    group(apiVersion) === group(kinds[kind]) ||
    (kind === "NetworkPolicy" && group(apiVersion) === "extensions")
  );
}
