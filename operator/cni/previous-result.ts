import { cniError } from "./errors.js";
import type { CniAddress, CniInterface, CniResult, CniRoute } from "./result.js";

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads `prevResult` of any version, which differ in shape only: `ip4` and `ip6` before 0.3.0, lists after.
 * What is not understood of an entry stays in it, as it is passed on to the plugins that follow.
 *
 * @throws SluiceError SLUICE_CNI_CONFIG
 */
export function readPreviousResult(value: unknown): CniResult {
  const result = object(value, "prevResult");
  const ips: CniAddress[] = list(result, "ips").map((entry) => {
    // `version` is of 0.3.0 to 0.4.0; the address says the same.
    const { version: _, ...rest } = entry;
    if (typeof rest.address !== "string") throw bad("ips", entry);
    if (rest.interface !== undefined && !Number.isInteger(rest.interface)) throw bad("ips", entry);
    return rest as unknown as CniAddress;
  });
  const routes: CniRoute[] = list(result, "routes").map(readRoute);
  for (const key of ["ip4", "ip6"]) {
    if (result[key] === undefined || result[key] === null) continue;
    const family = object(result[key], `prevResult.${key}`);
    if (typeof family.ip !== "string") throw bad(key, family);
    const gateway = typeof family.gateway === "string" ? { gateway: family.gateway } : {};
    ips.push({ address: family.ip, ...gateway });
    routes.push(...list(family, "routes").map(readRoute));
  }
  const interfaces: CniInterface[] = list(result, "interfaces").map((entry) => {
    if (typeof entry.name !== "string") throw bad("interfaces", entry);
    return entry as unknown as CniInterface;
  });
  const dns = result.dns === undefined || result.dns === null ? undefined : result.dns;
  return { interfaces, ips, routes, dns: dns && object(dns, "prevResult.dns") };
}

function readRoute(entry: Json): CniRoute {
  if (typeof entry.dst !== "string") throw bad("routes", entry);
  return entry as unknown as CniRoute;
}

function list(result: Json, key: string): readonly Json[] {
  const value = result[key];
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw bad(key, value);
  return value.map((entry) => object(entry, `prevResult.${key}`));
}

function object(value: unknown, field: string): Json {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw cniError("SLUICE_CNI_CONFIG", `the field ${field} is no object`);
}

function bad(key: string, value: unknown) {
  const found = JSON.stringify(value).slice(0, 200);
  return cniError("SLUICE_CNI_CONFIG", `the field prevResult.${key} is not understood: ${found}`);
}
