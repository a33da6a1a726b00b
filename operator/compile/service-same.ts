import type { Cidr } from "../model/records.js";
import { nodePortKey, type PortKey, portKey } from "./service-address.js";
import type { FrontendRow } from "./service-frontends.js";
import { CELL_LOCAL, cellShift } from "./service-rows.js";
import type { ServiceRow } from "./service-writes.js";

export function keyOf({ address, family, port, protocol }: FrontendRow): PortKey {
  return address === undefined
    ? nodePortKey(family, port, protocol)
    : portKey(address, port, protocol);
}

export function outsideIsLocal(cells: number): boolean {
  return ((cells >> cellShift("nodePort", "outside")) & CELL_LOCAL) !== 0;
}

export function isSameList(left: readonly number[], right: readonly number[]): boolean {
  return left.length === right.length && left.every((id, at) => id === right[at]);
}

export function isSameRanges(left: readonly Cidr[], right: readonly Cidr[]): boolean {
  const isSame = (one: Cidr, other: Cidr) =>
    one.family === 4
      ? other.family === 4 && one.address === other.address && one.length === other.length
      : other.family === 6 &&
        one.high === other.high &&
        one.low === other.low &&
        one.length === other.length;
  return left.length === right.length && left.every((one, at) => isSame(one, right[at]!));
}

export function isSameRow(left: ServiceRow, right: ServiceRow): boolean {
  for (const name in right) {
    if (left[name as keyof ServiceRow] !== right[name as keyof ServiceRow]) return false;
  }
  return true;
}
