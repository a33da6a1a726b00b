import type { Cidr } from "../model/records.js";
import type { FrontendRow } from "./service-frontends.js";
import type { ServicePortRows } from "./service-rows.js";
import type { ServiceRow } from "./service-writes.js";

/** What the kernel has of one port of a Service. */
export interface PortState {
  readonly key: string;
  readonly id: number;
  /** Of the Service. */
  readonly port: number;
  readonly row: ServiceRow;
  readonly frontends: readonly FrontendRow[];
  /** Numbers of all endpoints, in their order. */
  readonly ids: readonly number[];
  readonly cluster: readonly number[];
  readonly local: readonly number[];
  readonly sourceRanges: readonly Cidr[];
}

/** What each port was before: by its name, and for one that was renamed by its number. */
export function knownPorts(
  before: readonly PortState[],
  after: readonly ServicePortRows[],
): ReadonlyMap<ServicePortRows, PortState> {
  const byKey = new Map(before.map((port) => [port.key, port]));
  const known = new Map<ServicePortRows, PortState>();
  for (const port of after) {
    const same = byKey.get(port.key);
    if (same !== undefined) known.set(port, same);
    byKey.delete(port.key);
  }
  for (const port of after) {
    if (byKey.size === 0) break;
    if (known.has(port)) continue;
    const renamed = [...byKey.values()].find(
      (one) =>
        one.port === port.port &&
        one.row.family === port.family &&
        one.row.protocol === port.protocol,
    );
    if (renamed === undefined) continue;
    known.set(port, renamed);
    byKey.delete(renamed.key);
  }
  return known;
}
