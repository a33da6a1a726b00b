import { isDeepStrictEqual } from "node:util";
import type { CompiledRule } from "./rule-list.js";

/** Whether two lists come to the same rows and bitmaps; quick where they share what rules are made of. */
export function isSameRules(a: readonly CompiledRule[], b: readonly CompiledRule[]): boolean {
  return a === b || (a.length === b.length && a.every((rule, at) => isSameRule(rule, b[at]!)));
}

function isSameRule(a: CompiledRule, b: CompiledRule): boolean {
  return (
    a.policy === b.policy &&
    a.rule === b.rule &&
    a.action === b.action &&
    a.audit === b.audit &&
    a.isDefault === b.isDefault &&
    a.traits === b.traits &&
    a.logOneIn === b.logOneIn &&
    a.next === b.next &&
    a.resume === b.resume &&
    isAlike(a.from, b.from) &&
    isAlike(a.to, b.to) &&
    isAlike(a.protocols, b.protocols) &&
    isAlike(a.interfaces, b.interfaces) &&
    isAlike(a.rateLimit, b.rateLimit) &&
    isAlike(a.redirect, b.redirect)
  );
}

function isAlike(a: unknown, b: unknown): boolean {
  return a === b || isDeepStrictEqual(a, b);
}
