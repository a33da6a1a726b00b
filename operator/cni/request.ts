import { cniError } from "./errors.js";
import type { RawRequest } from "./frame.js";

export const verbs = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"] as const;
export type Verb = (typeof verbs)[number];

/** One interface of one container. */
export interface AttachmentId {
  readonly containerId: string;
  /** The name inside the container. */
  readonly ifName: string;
}

/** The pod that a container belongs to, as the kubelet tells; undefined parts: another runtime. */
export interface PodIdentity {
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly uid: string | undefined;
}

/** The variables of a verb about one attachment. */
export interface AttachmentVariables extends AttachmentId {
  /** Path of the network namespace; DEL may come without. */
  readonly netns: string | undefined;
  readonly pod: PodIdentity;
}

/** The alias of a link holds it: `operator/cni/link-alias.ts`. */
const longestContainerId = 96;
const containerIdPattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** `dev_valid_name` of the kernel, and what the specification refuses besides. */
const ifNamePattern = /^(?!\.{1,2}$)[^/:\s\0]{1,15}$/;
const podKeys = ["K8S_POD_NAMESPACE", "K8S_POD_NAME", "K8S_POD_UID"] as const;
const knownArgs = new Set<string>([...podKeys, "K8S_POD_INFRA_CONTAINER_ID", "IgnoreUnknown"]);

/** @throws SluiceError SLUICE_CNI_ENVIRONMENT */
export function readVerb({ environment }: RawRequest): Verb {
  const command = environment.get("CNI_COMMAND");
  const verb = verbs.find((known) => known === command);
  if (verb !== undefined) return verb;
  throw bad("CNI_COMMAND", command, `use one of ${verbs.join(", ")}`);
}

/**
 * Reads what ADD, DEL and CHECK are about.
 *
 * @throws SluiceError SLUICE_CNI_ENVIRONMENT
 */
export function readAttachment({ environment }: RawRequest, verb: Verb): AttachmentVariables {
  const containerId = environment.get("CNI_CONTAINERID");
  if (
    containerId === undefined ||
    containerId.length > longestContainerId ||
    !containerIdPattern.test(containerId)
  ) {
    const rule = `up to ${longestContainerId} letters, digits, "_", "." and "-", the first a letter or digit`;
    throw bad("CNI_CONTAINERID", containerId, rule);
  }
  const ifName = environment.get("CNI_IFNAME");
  if (ifName === undefined || !ifNamePattern.test(ifName)) {
    throw bad("CNI_IFNAME", ifName, "up to 15 characters without blanks, / and :");
  }
  const netns = environment.get("CNI_NETNS") || undefined;
  if (verb === "DEL" ? netns !== undefined && !netns.startsWith("/") : !netns?.startsWith("/")) {
    throw bad("CNI_NETNS", netns, "the absolute path of a network namespace");
  }
  // What DEL does not need must not stop it.
  const args = verb === "DEL" ? new Map<string, string>() : readArgs(environment.get("CNI_ARGS"));
  const [namespace, name, uid] = podKeys.map((key) => args.get(key) || undefined);
  return { containerId, ifName, netns, pod: { namespace, name, uid } };
}

function readArgs(text = ""): ReadonlyMap<string, string> {
  const args = new Map<string, string>();
  for (const pair of text.split(";").filter((part) => part !== "")) {
    const equals = pair.indexOf("=");
    if (equals <= 0) throw bad("CNI_ARGS", text, "KEY=VALUE pairs with ; between them");
    args.set(pair.slice(0, equals), pair.slice(equals + 1));
  }
  const unknown = [...args.keys()].filter((key) => !knownArgs.has(key));
  if (unknown.length > 0 && !/^(1|t|true)$/i.test(args.get("IgnoreUnknown") ?? "")) {
    throw bad(
      "CNI_ARGS",
      text,
      `without IgnoreUnknown=1, ${unknown.join(", ")} would have to be known`,
    );
  }
  return args;
}

function bad(variable: string, value: string | undefined, rule: string) {
  const what = value === undefined ? `${variable} is not set` : `${variable} is "${value}"`;
  return cniError("SLUICE_CNI_ENVIRONMENT", `${what}: ${rule}`);
}
