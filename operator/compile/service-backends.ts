import { READY, SERVING } from "../model/records-service.js";
import type { BackendTable } from "./backend-table.js";
import type { Backend } from "./service-endpoints.js";
import type { ServicePortRows } from "./service-rows.js";
import {
  BACKEND_IN_CLUSTER,
  BACKEND_IN_LOCAL,
  BACKEND_LOCAL,
  BACKEND_PRESENT,
  BACKEND_USABLE,
  type BackendRow,
  type ServiceWrite,
} from "./service-writes.js";

/** Endpoints of a port with the numbers that they have in the kernel. */
export interface MatchedBackends {
  /** Of all endpoints, of the cluster list and of the local list, each in order of address and port. */
  readonly ids: readonly number[];
  readonly cluster: readonly number[];
  readonly local: readonly number[];
  /** Those that stay, with other flags. */
  readonly changed: readonly { readonly id: number; readonly value: BackendRow }[];
  readonly gone: readonly number[];
  /** Before the lists flip: new ones, and flags that are added. */
  readonly early: readonly ServiceWrite[];
  /** After it: flags that are taken away, and those that are gone. */
  readonly late: readonly ServiceWrite[];
}

/** What packets are sent by; the other flags are for people. */
const DECISIVE = BACKEND_PRESENT | BACKEND_USABLE | BACKEND_IN_CLUSTER | BACKEND_IN_LOCAL;

/**
 * Gives endpoints the numbers they had, and new ones to new endpoints. Both are in order, so one pass is enough. New ones are
 * written into the table at once: nothing leads to them yet.
 *
 * @param before numbers of the endpoints that the port had
 * @param service number of the port
 */
export function matchBackends(
  port: ServicePortRows,
  before: readonly number[],
  service: number,
  table: BackendTable,
  takeId: () => number,
): MatchedBackends {
  const ids: number[] = [];
  const cluster: number[] = [];
  const local: number[] = [];
  const changed: { id: number; value: BackendRow }[] = [];
  const gone: number[] = [];
  const early: ServiceWrite[] = [];
  const late: ServiceWrite[] = [];
  const lose = (id: number) => {
    gone.push(id);
    const address = table.address(id, port.family);
    const value = { service, address, port: table.port(id), flags: 0 };
    late.push({ table: "backends", id, value });
  };
  let next = 0;
  let [inCluster, inLocal] = [0, 0];
  for (const endpoint of port.endpoints) {
    const { address, port: number } = endpoint;
    while (next < before.length && table.compare(before[next]!, address, number) < 0) {
      lose(before[next++]!);
    }
    const isCluster = port.cluster[inCluster] === endpoint;
    const isLocal = port.local[inLocal] === endpoint;
    if (isCluster) inCluster++;
    if (isLocal) inLocal++;
    const flags = flagsOf(endpoint, isCluster, isLocal);
    const isKnown = next < before.length && table.compare(before[next]!, address, number) === 0;
    const id = isKnown ? before[next++]! : takeId();
    const value = { service, address, port: number, flags };
    const old = isKnown ? table.flags(id) : 0;
    if (!isKnown) table.set(id, address, number, flags);
    else if (old !== flags) changed.push({ id, value });
    const [gained, lost] = [flags & ~old, old & ~flags];
    if ((gained & DECISIVE) !== 0 || (gained !== 0 && lost === 0)) {
      early.push({ table: "backends", id, value: { ...value, flags: flags | old } });
    }
    if (lost !== 0) late.push({ table: "backends", id, value });
    ids.push(id);
    if (isCluster) cluster.push(id);
    if (isLocal) local.push(id);
  }
  while (next < before.length) lose(before[next++]!);
  return { ids, cluster, local, changed, gone, early, late };
}

function flagsOf({ conditions, isLocal }: Backend, inCluster: boolean, inLocal: boolean): number {
  return (
    conditions |
    BACKEND_PRESENT |
    (isLocal ? BACKEND_LOCAL : 0) |
    ((conditions & (READY | SERVING)) !== 0 ? BACKEND_USABLE : 0) |
    (inCluster ? BACKEND_IN_CLUSTER : 0) |
    (inLocal ? BACKEND_IN_LOCAL : 0)
  );
}
