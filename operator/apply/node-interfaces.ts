import {
  type IfIndex,
  interfaceByName,
  listDefaultRoutes,
  listInterfaces,
} from "../../datapath/index.js";
import { globMatches } from "../compile/selectors.js";
import { SluiceError } from "../errors.js";
import type { PresentInterface } from "./desired.js";

/**
 * The interfaces of this network namespace.
 *
 * @param uplinks globs of those that policies without `interfaces` mean; empty: those with a default route
 */
export function presentInterfaces(uplinks: readonly string[]): readonly PresentInterface[] {
  const byRoute = new Set(
    uplinks.length === 0 ? listDefaultRoutes().map(({ index }) => index as number) : [],
  );
  return listInterfaces().map(({ name, index }) => ({
    name,
    index,
    uplink:
      uplinks.length === 0 ? byRoute.has(index) : uplinks.some((glob) => globMatches(glob, name)),
  }));
}

/** @throws SluiceError SLUICE_NO_INTERFACE */
export function interfaceIndex(name: string): IfIndex {
  const found = interfaceByName(name);
  if (found !== undefined) return found.index;
  throw new SluiceError("SLUICE_NO_INTERFACE", `there is no interface ${name}`, {
    remedy: "sluicectl status lists the interfaces that policies judge",
  });
}
