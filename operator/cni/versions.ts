import { cniError } from "./errors.js";

/** Versions of the CNI specification, the oldest first. */
export const cniVersions = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;
export type CniVersion = (typeof cniVersions)[number];
export const newestVersion = "1.1.0" satisfies CniVersion;

/** What a network configuration without `cniVersion` means, as libcni reads it. */
const unnamedVersion = "0.1.0" satisfies CniVersion;

/** The first versions that have a verb. */
const firstWithVerb = { CHECK: "0.4.0", GC: "1.1.0", STATUS: "1.1.0" } as const satisfies Record<
  string,
  CniVersion
>;

/** @throws SluiceError SLUICE_CNI_VERSION */
export function readVersion(value: unknown): CniVersion {
  if (value === undefined || value === "") return unnamedVersion;
  const known = cniVersions.find((version) => version === value);
  if (known !== undefined) return known;
  const problem = `cniVersion ${JSON.stringify(value)} is not supported`;
  throw cniError("SLUICE_CNI_VERSION", problem, { remedy: `Use one of ${cniVersions.join(", ")}` });
}

/** @throws SluiceError SLUICE_CNI_VERSION when the verb is younger than the version */
export function requireVerb(verb: keyof typeof firstWithVerb, version: CniVersion): void {
  const first = firstWithVerb[verb];
  if (isAtLeast(version, first)) return;
  const problem = `cniVersion ${version} has no ${verb}`;
  throw cniError("SLUICE_CNI_VERSION", problem, { remedy: `Use version ${first} or later` });
}

export function isAtLeast(version: CniVersion, first: CniVersion): boolean {
  return cniVersions.indexOf(version) >= cniVersions.indexOf(first);
}
