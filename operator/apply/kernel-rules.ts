import { type Generation, Rule } from "../../datapath/generated/layout.js";
import type { Bank } from "./bank.js";
import { ruleCapacity, type RuleRow, ruleRow, type RuleTables } from "./rule-tables.js";

/** The rules that an earlier agent left in force against those that are wanted. */
export interface RuleDifference {
  /** Rows that are in both: the same rule with the same action, mode and sampling. */
  readonly same: number;
  /** Rows that are wanted and not in force, and the other way round. */
  readonly missing: number;
  readonly stale: number;
}

/** Compares what is in force with what is wanted, before anything is written. */
export function compareRules(
  datapath: Pick<Bank, "rules">,
  { rulesHalf, ruleCount }: Pick<Generation, "rulesHalf" | "ruleCount">,
  wanted: RuleTables,
): RuleDifference {
  const count = Math.min(ruleCount, ruleCapacity(datapath));
  const left = new Map<string, number>();
  for (let index = 0; index < count; index++) {
    const at = ruleRow(rulesHalf, index) * datapath.rules.stride;
    const key = rowKey(Rule.decode(datapath.rules.view, at));
    left.set(key, (left.get(key) ?? 0) + 1);
  }
  const rows = wanted.rows();
  let same = 0;
  for (const row of rows) {
    const found = left.get(rowKey(row)) ?? 0;
    if (found === 0) continue;
    left.set(rowKey(row), found - 1);
    same++;
  }
  return { same, missing: rows.length - same, stale: count - same };
}

/** Places in the list and in other tables are left out: one rule more moves all behind it. */
function rowKey({ action, flags, slot, logOneIn }: RuleRow): string {
  return `${action} ${flags} ${slot} ${logOneIn}`;
}
