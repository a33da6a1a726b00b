import { SluiceError } from "../errors.js";

/** A table of the node is too small for what the objects ask for; nothing was changed. */
export class CapacityError extends SluiceError {
  /** The table, as `sluicectl status` names it. */
  readonly table: string;
  /** The policy whose rules went over the limit, when one can be named. */
  readonly policy: string | undefined;

  constructor(table: string, capacity: number, needed: string, policy?: string) {
    super("SLUICE_CAPACITY", `${table} holds ${capacity} entries and ${needed}`, {
      remedy: "Use fewer or broader rules, or put addresses into an XdpCidrSet",
    });
    this.table = table;
    this.policy = policy;
  }
}
