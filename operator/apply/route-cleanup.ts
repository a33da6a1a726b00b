import {
  deleteRoute,
  deleteRule,
  linkByName,
  listRoutes,
  listRules,
} from "../../datapath/index.js";
import { hasNfTable } from "../../datapath/nf-masquerade.js";
import { MAIN_TABLE, PODS_TABLE } from "../compile/route-rows.js";
import { MASQUERADE_TABLE, removeMasquerade } from "./masquerade.js";
import { ROUTE_PROTOCOL } from "./route-tables.js";
import { deleteTunnelDevice } from "./tunnel-devices.js";
import { TUNNEL_DEVICES } from "./underlay.js";

/** What routes between nodes have left on this one, in words. */
export function findRouting(): readonly string[] {
  const routes = ownRoutes().length;
  const rules = listRules(ROUTE_PROTOCOL).length;
  const devices = Object.values(TUNNEL_DEVICES).filter((name) => linkByName(name) !== undefined);
  return [
    ...(routes === 0 ? [] : [`${routes} routes`]),
    ...(rules === 0 ? [] : [`${rules} routing rules`]),
    ...devices.map((name) => `interface ${name}`),
    ...(hasMasquerade() ? [`nftables table ${MASQUERADE_TABLE}`] : []),
  ];
}

/** @throws SluiceError SLUICE_FOREIGN_DEVICE, SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY */
export function removeRouting(): void {
  for (const rule of listRules(ROUTE_PROTOCOL)) deleteRule(rule);
  for (const { destination, table } of ownRoutes()) {
    deleteRoute({ destination, table, protocol: ROUTE_PROTOCOL });
  }
  for (const family of [4, 6] as const) deleteTunnelDevice(family);
  if (hasMasquerade()) removeMasquerade();
}

function ownRoutes() {
  return [MAIN_TABLE, PODS_TABLE].flatMap((table) =>
    listRoutes({ table, protocol: ROUTE_PROTOCOL }).filter(
      ({ protocol }) => protocol === ROUTE_PROTOCOL,
    ),
  );
}

/** False on a kernel without nftables, too. */
function hasMasquerade(): boolean {
  try {
    return hasNfTable(MASQUERADE_TABLE);
  } catch {
    return false;
  }
}
