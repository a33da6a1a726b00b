import { Limits } from "../../datapath/generated/layout.js";
import type { TableState } from "../api/engine.js";
import type { Bank } from "./bank.js";
import type { Firewall } from "./firewall.js";
import type { RuleSlots } from "./rule-slots.js";
import { ruleCapacity } from "./rule-tables.js";

/** How full the tables are that every bank has: rules, their slots, classes of addresses and of fields, lines. */
export function describeBank(
  bank: Pick<Bank, "rules" | "addressLines">,
  { rules, addresses }: Firewall,
  slots: RuleSlots,
) {
  return [
    { name: "rules", used: rules?.rules.length ?? 0, capacity: ruleCapacity(bank) },
    { name: "rule slots", used: slots.used, capacity: slots.capacity },
    {
      name: "address classes",
      used: addresses?.classes.count ?? 0,
      capacity: Limits.MAX_ADDRESS_CLASSES,
    },
    {
      name: "field classes",
      used: rules?.fieldClassCount ?? 0,
      capacity: Limits.MAX_FIELD_CLASSES,
    },
    {
      name: "address lines",
      used: addresses?.allocator.used ?? 0,
      capacity: bank.addressLines.length >> 1,
    },
  ] as const satisfies readonly TableState[];
}
