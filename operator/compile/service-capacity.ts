import { SluiceError } from "../errors.js";

/** A table of the node is too small for a Service; what was in force stays. */
export class ServiceCapacityError extends SluiceError {
  /** The table, as `sluicectl status` names it. */
  readonly table: string;
  /** `namespace/name`. */
  readonly service: string;

  constructor(table: string, service: string, needed: string) {
    super("SLUICE_CAPACITY", `Service ${service} does not fit: ${table}: ${needed}`, {
      remedy: "Delete Services that nobody needs, or raise the limits of the node",
    });
    this.table = table;
    this.service = service;
  }
}

/** Entries that the tables of a node have room for. */
export interface ServiceCapacity {
  /** Ports of Services, one for each family. */
  readonly services: number;
  /** Addresses and ports, and ports of the node. */
  readonly frontends: number;
  readonly clusterIPs: number;
  /** Endpoints, each once for every port of a Service that it is behind. */
  readonly backends: number;
  /** Words of the lists of backends. */
  readonly lists: number;
  /** Words of the Maglev tables. */
  readonly maglev: number;
  readonly sourceRanges: number;
}

/** Of a table of single entries. */
export function isFull(
  table: string,
  service: string,
  used: number,
  capacity: number,
  more: number,
): ServiceCapacityError {
  const needed = `${used} of ${capacity} entries are in use, and ${more} more are needed`;
  return new ServiceCapacityError(table, service, needed);
}
