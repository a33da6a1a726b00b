import { Errno, SluiceError, SystemError } from "../../datapath/errors.js";
import {
  addRoute,
  addRule,
  deleteFdbEntry,
  deleteNeighbour,
  deleteRoute,
  deleteRule,
  floodMac,
  type IfIndex,
  listFdb,
  listNeighbours,
  listRoutes,
  listRules,
  replaceFdbEntry,
  replaceNeighbour,
  replaceRoute,
  type Route,
} from "../../datapath/index.js";
import {
  MAIN_TABLE,
  type NeighbourRow,
  PODS_TABLE,
  type RouteRow,
  type RouteRows,
  type TunnelRow,
} from "../compile/route-rows.js";
import { timeSlice } from "./time-slice.js";

/** Routes and rules of Sluice carry this number (`ip route show proto 115`); others are never touched. */
export const ROUTE_PROTOCOL = 115;
/** Before the main table (32766), after the local one (0). */
const RULE_PRIORITY = 1150;

/** Rows of one kind, as they are wanted and as the kernel has them. */
interface RowKind<Row> {
  readonly key: (row: Row) => string;
  /** All of the row: two with the same are the same. */
  readonly text: (row: Row) => string;
  /** Those that are ours. */
  readonly read: (devices: readonly number[]) => readonly Row[];
  /** @param isThere one of ours with the key is */
  readonly put: (row: Row, isThere: boolean) => void;
  readonly remove: (row: Row) => void;
}

const routeKind: RowKind<RouteRow> = {
  key: ({ table, destination }) => `${table} ${destination}`,
  text: (row) =>
    `${row.table} ${row.destination} ${row.type} ${row.device} ${row.gateway} ${row.onLink} ${row.source} ${row.mtu}`,
  read: () =>
    [MAIN_TABLE, PODS_TABLE].flatMap((table) =>
      listRoutes({ table, protocol: ROUTE_PROTOCOL }).flatMap(rowOf),
    ),
  put(row, isThere) {
    const { device, ...rest } = row;
    const more = { isMtuLocked: true, protocol: ROUTE_PROTOCOL };
    const route = { ...rest, ...more, device: device as IfIndex | undefined };
    if (isThere) replaceRoute(route);
    else addRoute(route);
  },
  remove: ({ destination, table }) =>
    void deleteRoute({ destination, table, protocol: ROUTE_PROTOCOL }),
};

function rowOf(route: Route): readonly RouteRow[] {
  const { destination, table, type, device, gateway, onLink, source, mtu, protocol } = route;
  if (protocol !== ROUTE_PROTOCOL) return [];
  // IPv6 gives such a route the loopback as its device.
  if (type === "unreachable") {
    const none = { device: undefined, gateway: undefined, source: undefined, mtu: undefined };
    return [{ destination, table, type, onLink: false, ...none }];
  }
  return [{ destination, table, type: "unicast", device, gateway, onLink, source, mtu }];
}

const neighbourKind: RowKind<NeighbourRow> = {
  key: ({ device, address }) => `${device} ${address}`,
  text: ({ device, address, mac }) => `${device} ${address} ${mac}`,
  read: (devices) =>
    devices.flatMap((device) =>
      listNeighbours(device as IfIndex).flatMap(({ address, mac, state }) =>
        state === "permanent" && mac !== undefined ? [{ device, address, mac }] : [],
      ),
    ),
  put: ({ device, address, mac }) =>
    replaceNeighbour({ device: device as IfIndex, address, mac, state: "permanent" }),
  remove: ({ device, address }) => void deleteNeighbour({ device: device as IfIndex, address }),
};

const tunnelKind: RowKind<TunnelRow> = {
  key: ({ device, mac }) => `${device} ${mac}`,
  text: ({ device, mac, destination }) => `${device} ${mac} ${destination}`,
  read: (devices) =>
    devices.flatMap((device) =>
      listFdb(device as IfIndex).flatMap(({ mac, destination }) =>
        mac === floodMac ? [] : [{ device, mac, destination }],
      ),
    ),
  put: ({ device, mac, destination }) =>
    replaceFdbEntry({ device: device as IfIndex, mac, destination }),
  remove: ({ device, mac, destination }) =>
    void deleteFdbEntry({ device: device as IfIndex, mac, destination }),
};

const ruleKind: RowKind<string> = {
  key: (source) => source,
  text: (source) => source,
  read: () =>
    listRules(ROUTE_PROTOCOL).flatMap(({ source, table, priority }) =>
      table === PODS_TABLE && priority === RULE_PRIORITY ? [source] : [],
    ),
  put: (source) => addRule(ruleOf(source)),
  remove: (source) => void deleteRule(ruleOf(source)),
};

function ruleOf(source: string) {
  return { source, table: PODS_TABLE, priority: RULE_PRIORITY, protocol: ROUTE_PROTOCOL };
}

/** A row that the kernel did not take. */
export interface RowFailure {
  readonly error: SluiceError;
  /** Somebody else has a route to the same destination. */
  readonly foreignRoute: string | undefined;
}

/** Rows of one kind, and what is known to be in the kernel of them. */
class Rows<Row> {
  readonly #kind: RowKind<Row>;
  #known = new Map<string, Row>();

  constructor(kind: RowKind<Row>) {
    this.#kind = kind;
  }

  get count(): number {
    return this.#known.size;
  }

  read(devices: readonly number[]): void {
    this.#known = new Map(this.#kind.read(devices).map((row) => [this.#kind.key(row), row]));
  }

  async put(wanted: readonly Row[], failures: RowFailure[], slice: Slice): Promise<void> {
    const { key, text, put } = this.#kind;
    for (const row of wanted) {
      const before = this.#known.get(key(row));
      if (before === undefined || text(before) !== text(row)) {
        attempt(row, failures, () => {
          put(row, before !== undefined);
          this.#known.set(key(row), row);
        });
      }
      await slice();
    }
  }

  /** @param onRemove called before each */
  async removeOthers(
    wanted: readonly Row[],
    failures: RowFailure[],
    slice: Slice,
    onRemove: () => void,
  ): Promise<void> {
    const keys = new Set(wanted.map(this.#kind.key));
    for (const [key, row] of this.#known) {
      if (!keys.has(key)) {
        attempt(row, failures, () => {
          onRemove();
          this.#kind.remove(row);
          this.#known.delete(key);
        });
      }
      await slice();
    }
  }
}

type Slice = ReturnType<typeof timeSlice>;

function attempt(row: unknown, failures: RowFailure[], work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    const isTaken = error.cause instanceof SystemError && error.cause.errno === Errno.EEXIST;
    const { destination, type } = row as Partial<RouteRow>;
    failures.push({ error, foreignRoute: isTaken && type !== undefined ? destination : undefined });
  }
}

/**
 * The rows of the kernel that lead to other nodes. What was written is remembered, so that a change costs what it
 * changes; reading all of it again finds what others have taken away or added.
 */
export class RouteTables {
  readonly #routes = new Rows(routeKind);
  readonly #neighbours = new Rows(neighbourKind);
  readonly #tunnels = new Rows(tunnelKind);
  readonly #rules = new Rows(ruleKind);

  get routeCount(): number {
    return this.#routes.count;
  }

  /** @param devices whose neighbours and forwarding entries are ours */
  async read(devices: readonly number[]): Promise<void> {
    const slice = timeSlice(0);
    for (const rows of [this.#routes, this.#neighbours, this.#tunnels, this.#rules]) {
      rows.read(devices);
      await slice();
    }
  }

  /**
   * Brings the kernel to the wanted rows: what a packet needs further on is there before it is led there. A row that is
   * refused keeps no other from it.
   *
   * @param onRemove called before the kernel is asked to remove a row
   */
  async write(wanted: RouteRows, onRemove: () => void): Promise<readonly RowFailure[]> {
    const failures: RowFailure[] = [];
    const slice = timeSlice();
    await this.#neighbours.put(wanted.neighbours, failures, slice);
    await this.#tunnels.put(wanted.tunnels, failures, slice);
    await this.#routes.put(wanted.routes, failures, slice);
    await this.#rules.put(wanted.rules, failures, slice);
    await this.#rules.removeOthers(wanted.rules, failures, slice, onRemove);
    await this.#routes.removeOthers(wanted.routes, failures, slice, onRemove);
    await this.#tunnels.removeOthers(wanted.tunnels, failures, slice, onRemove);
    await this.#neighbours.removeOthers(wanted.neighbours, failures, slice, onRemove);
    return failures;
  }
}
