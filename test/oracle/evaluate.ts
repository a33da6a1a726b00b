/**
 * The reference evaluator, written from docs/xdp-policy.md alone: it shares neither code nor ideas
 * with the compiler and the kernel programs, so that both being wrong in the same way is unlikely.
 */

import type { RateLimit, RedirectTarget, RuleRecord } from "../../operator/model/records.js";
import { bitsOf } from "./address.js";
import { ruleMatches } from "./match.js";
import { isFirstFragment, isLaterFragment, type Packet } from "./packet.js";
import { parseFrame } from "./parse.js";
import { policiesFor } from "./select.js";
import type { EvaluationState } from "./state.js";
import type { Effect, Evaluation, MatchedRule, Reason, Verdict, World } from "./world.js";

export const FAIL_SAFE = "fail-safe";
export const DEFAULT_RULE = "default";

/** A policy as the walk sees it; the fail-safe rules are one too. */
interface Walkable {
  readonly name: string;
  readonly mode: "Enforce" | "Audit";
  readonly rules: readonly RuleRecord[];
  readonly defaultAction: "Pass" | "Accept" | "Drop";
}

/** One packet on its walk. */
interface Walk {
  readonly world: World;
  readonly state: EvaluationState;
  readonly interfaceName: string;
  readonly frame: Uint8Array;
  readonly packet: Packet;
  readonly matched: MatchedRule[];
}

/**
 * Judges one frame that arrives at an interface and updates the state: tokens are taken,
 * first fragments remembered. Throws when a rule names a set that the world does not have.
 */
export function evaluate(
  world: World,
  state: EvaluationState,
  interfaceName: string,
  frame: Uint8Array,
): Evaluation {
  const policies = policiesFor(world, interfaceName);
  if (policies.length === 0) {
    return { verdict: "pass", reason: "not-judged", matched: [] };
  }
  const parsed = parseFrame(frame);
  if (parsed.kind === "not-ip") {
    return { verdict: "pass", reason: "not-ip", matched: [] };
  }
  if (parsed.kind === "unparsable") {
    const isEnforced = policies.some(({ mode }) => mode === "Enforce");
    const verdict = isEnforced && world.unparsable === "Drop" ? "drop" : "pass";
    return { verdict, reason: parsed.reason, matched: [] };
  }
  const { packet } = parsed;
  if (isLaterFragment(packet)) {
    const first = state.firstFragment(packet);
    if (first !== undefined) {
      // Counted like the first, but without its way there: no rule was walked.
      return { ...first, matched: first.policy === undefined ? [] : first.matched.slice(-1) };
    }
  }
  const evaluation = walkAll(policies, { world, state, interfaceName, frame, packet, matched: [] });
  if (isFirstFragment(packet)) {
    state.rememberFirstFragment(packet, evaluation);
  }
  return evaluation;
}

function walkAll(policies: readonly Walkable[], walk: Walk): Evaluation {
  const failSafe: Walkable = {
    name: FAIL_SAFE,
    mode: "Enforce",
    rules: walk.world.failSafe,
    defaultAction: "Pass",
  };
  for (const policy of [failSafe, ...policies]) {
    const evaluation = walkPolicy(policy, walk);
    if (evaluation !== undefined) {
      return evaluation;
    }
  }
  return { verdict: "pass", reason: "no-rule", matched: walk.matched };
}

/** Undefined: no verdict here, the walk goes on behind this policy. */
function walkPolicy(policy: Walkable, walk: Walk): Evaluation | undefined {
  const { world, state, packet } = walk;
  for (const rule of policy.rules) {
    const isExpired = rule.expiresAtMs !== undefined && state.nowMs >= rule.expiresAtMs;
    if (isExpired || !ruleMatches(rule, packet, world, state.nowMs)) {
      continue;
    }
    const { action } = rule;
    switch (action.kind) {
      case "Accept":
        return decide(walk, policy, rule.name, "pass", "rule");
      case "Drop":
        return decide(walk, policy, rule.name, "drop", "rule");
      case "Pass":
        count(walk, policy, rule.name, "pass-on");
        return undefined;
      case "Limit": {
        const source = bucketSource(action.rateLimit, packet);
        const bucket = { policy: policy.name, rule: rule.name, source };
        if (state.isAboveRate(bucket, action.rateLimit, walk.frame.length)) {
          return decide(walk, policy, rule.name, "drop", "limit");
        }
        count(walk, policy, rule.name, "within-rate");
        break;
      }
      case "Redirect":
        return policy.mode === "Audit" || targetExists(action.target, world)
          ? decide(walk, policy, rule.name, "redirect", "rule")
          : decide(walk, policy, rule.name, "drop", "redirect");
    }
  }
  return walkDefault(policy, walk);
}

function walkDefault(policy: Walkable, walk: Walk): Evaluation | undefined {
  switch (policy.defaultAction) {
    case "Pass":
      return undefined;
    case "Accept":
      return decide(walk, policy, DEFAULT_RULE, "pass", "default");
    case "Drop":
      if (!walk.state.isEstablished(walk.packet, walk.frame, walk.interfaceName)) {
        return decide(walk, policy, DEFAULT_RULE, "drop", "default");
      }
      if (policy.mode === "Audit") {
        return undefined;
      }
      count(walk, policy, DEFAULT_RULE, "established");
      return verdictOf(walk, policy, DEFAULT_RULE, "pass", "established");
  }
}

const ENFORCED: Record<Verdict, Effect> = { pass: "accept", drop: "drop", redirect: "redirect" };
const AUDITED: Record<Verdict, Effect> = {
  pass: "would-accept",
  drop: "would-drop",
  redirect: "would-redirect",
};

/** In Enforce mode this is the verdict; in Audit mode it is only counted. */
function decide(
  walk: Walk,
  policy: Walkable,
  rule: string,
  verdict: Verdict,
  reason: Reason,
): Evaluation | undefined {
  if (policy.mode === "Audit") {
    count(walk, policy, rule, AUDITED[verdict]);
    return undefined;
  }
  count(walk, policy, rule, ENFORCED[verdict]);
  return verdictOf(walk, policy, rule, verdict, reason);
}

function verdictOf(
  walk: Walk,
  policy: Walkable,
  rule: string,
  verdict: Verdict,
  reason: Reason,
): Evaluation {
  return { verdict, reason, policy: policy.name, rule, matched: walk.matched };
}

function count(walk: Walk, policy: Walkable, rule: string, effect: Effect): void {
  walk.matched.push({ policy: policy.name, rule, effect });
}

/** Names the bucket of this packet among those of one rule. */
function bucketSource(limit: RateLimit, packet: Packet): string {
  const { family, value } = packet.source;
  switch (limit.per) {
    case "Node":
      return "";
    case "SourceAddress":
      return `${family}:${value}`;
    case "SourcePrefix": {
      const length = family === 4 ? limit.ipv4PrefixLength : limit.ipv6PrefixLength;
      return `${family}:${value >> BigInt(bitsOf(family) - length)}`;
    }
  }
}

function targetExists(target: RedirectTarget, world: World): boolean {
  switch (target.kind) {
    case "cpus":
      return true;
    case "interface":
      return world.interfaces.includes(target.name);
    case "socketMap":
      return world.socketMaps.includes(target.name);
  }
}
