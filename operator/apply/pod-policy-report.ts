import type { PodPolicyState } from "../api/engine.js";
import type { PolicyBlock } from "../compile/policy-block.js";
import { unresolvedPorts } from "../compile/unresolved-ports.js";
import type { Problem } from "../model/records.js";
import { keyOf, type PodPolicy } from "./pod-objects.js";

/** What reports about policies of pods are made of, at one moment. Policies by kind and key. */
export interface PodPolicyPicture {
  readonly newest: ReadonlyMap<string, PodPolicy>;
  readonly inForce: ReadonlyMap<string, PodPolicy>;
  /** Of the policies in force that have pods here. */
  readonly blocks: readonly PolicyBlock[];
  /** Of the source and of what does not fit; others than those of policies are let by. */
  readonly problems: readonly Problem[];
  readonly applyError: string | undefined;
}

/** All policies that the source has told of, also those that it refused, in the order of their names. */
export function describePodPolicies(picture: PodPolicyPicture): readonly PodPolicyState[] {
  const { newest, inForce } = picture;
  const problems = problemsByPolicy(picture.problems);
  const blocks = new Map(picture.blocks.map((block) => [block.policy, block]));
  const keys = new Set([...newest.keys(), ...inForce.keys(), ...problems.keys()]);
  return [...keys].sort().map((key) => {
    const acting = inForce.get(key);
    const policy = newest.get(key) ?? acting;
    const block = acting && blocks.get(acting);
    const told = [...(problems.get(key) ?? []), ...(block === undefined ? [] : warningsOf(block))];
    const refusal = told.find(({ severity }) => severity === "error");
    const generation = policy?.generation ?? 0;
    const pods = block === undefined ? NONE : podsOf(block);
    return {
      ...identityOf(key),
      generation,
      generationInForce: acting?.generation ?? 0,
      mode: (acting ?? policy)?.mode ?? "Enforce",
      ...(policy?.kind === "ClusterNetworkPolicy" && {
        tier: policy.tier,
        priority: policy.priority,
      }),
      state: stateOf(refusal, policy, acting, pods, picture.applyError),
      pods,
      rules: countRules(acting ?? policy),
      places: block?.parts.length ?? 0,
      problems: told,
    };
  });
}

const NONE: readonly never[] = Object.freeze([]);

function stateOf(
  refusal: Problem | undefined,
  policy: PodPolicy | undefined,
  acting: PodPolicy | undefined,
  pods: readonly string[],
  applyError: string | undefined,
): PodPolicyState["state"] {
  if (refusal !== undefined) return "Refused";
  if (acting !== policy) return applyError === undefined ? "Pending" : "Failing";
  if (pods.length === 0) return "Idle";
  return acting?.mode === "Audit" ? "Auditing" : "Enforcing";
}

function identityOf(key: string): Pick<PodPolicyState, "kind" | "namespace" | "name"> {
  const [kind = "", path = ""] = key.split(" ");
  if (kind === "ClusterNetworkPolicy") return { kind, name: path };
  const [namespace = "", name = ""] = path.split("/");
  return { kind: "NetworkPolicy", namespace, name };
}

function countRules(policy: PodPolicy | undefined): number {
  return (policy?.ingress?.length ?? 0) + (policy?.egress?.length ?? 0);
}

function problemsByPolicy(problems: readonly Problem[]): ReadonlyMap<string, Problem[]> {
  const found = new Map<string, Problem[]>();
  for (const problem of problems) {
    const { kind, name } = problem;
    if (kind !== "NetworkPolicy" && kind !== "ClusterNetworkPolicy") continue;
    // A source's problem with the whole kind names no policy.
    if (name === undefined) continue;
    const list = found.get(`${kind} ${name}`);
    if (list === undefined) found.set(`${kind} ${name}`, [problem]);
    else list.push(problem);
  }
  return found;
}

/* A block is another one as soon as anything about it changes. */
const podsOfBlock = new WeakMap<PolicyBlock, readonly string[]>();
const warningsOfBlock = new WeakMap<PolicyBlock, readonly Problem[]>();

function podsOf(block: PolicyBlock): readonly string[] {
  let pods = podsOfBlock.get(block);
  if (pods === undefined) {
    pods = block.subjects.map(({ key }) => key).sort();
    podsOfBlock.set(block, pods);
  }
  return pods;
}

/** What is legal and probably not meant, on this node as it is now. */
export function warningsOf(block: PolicyBlock): readonly Problem[] {
  let warnings = warningsOfBlock.get(block);
  if (warnings === undefined) {
    const { kind, origin } = block.policy;
    const name = kind === "NetworkPolicy" ? keyOf(block.policy) : block.policy.name;
    warnings = unresolvedPorts(block).map(({ name: port, on }) => ({
      severity: "warning",
      code: "SLUICE_NO_SUCH_PORT",
      origin,
      kind,
      name,
      message:
        on === "subjects"
          ? `no pod here that it selects has a port named ${port}, so nothing is matched by that name`
          : `no pod that it names as a peer has a port named ${port}, so nothing is matched by that name`,
      remedy: "Name the port in the pods' containers, or write its number",
    }));
    warningsOfBlock.set(block, warnings);
  }
  return warnings;
}
