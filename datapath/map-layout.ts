import type { MapLayout } from "./codec.js";
import type { DatapathErrorCode } from "./errors.js";
import { datapathError } from "./errors.js";
import type { MapFd } from "./handles.js";
import type { MapInfo } from "./kernel-info.js";
import { mapInfo } from "./kernel-info.js";
import { MapFlag, MapType } from "./map-create.js";

/** What a map must be like to be used under a layout; `maxEntries` 0 means any. */
export type ExpectedMap = Pick<
  MapLayout,
  "name" | "type" | "keySize" | "valueSize" | "maxEntries"
> & { readonly mapFlags?: number | undefined };

/** Flags that the kernel adds to maps of a type, and refuses when they are asked for. */
export function kernelFlags(type: number): number {
  return type === MapType.deviceMap ? MapFlag.readOnlyProgram : 0;
}

/** How a map differs from a layout, one phrase per field; empty when it does not. */
export function mapDifferences(found: MapInfo, expected: ExpectedMap): readonly string[] {
  const fields: readonly (readonly [string, number, number | undefined])[] = [
    ["type", found.type, expected.type],
    ["key size", found.keySize, expected.keySize],
    ["value size", found.valueSize, expected.valueSize],
    ["max_entries", found.maxEntries, expected.maxEntries === 0 ? undefined : expected.maxEntries],
    ["flags", found.flags & ~kernelFlags(found.type), expected.mapFlags],
  ];
  return fields
    .filter(([, has, wants]) => wants !== undefined && has !== wants)
    .map(([field, has, wants]) => `${field} ${has} instead of ${wants}`);
}

/**
 * Checks a map of the kernel against the layout that the codecs were made for.
 *
 * @throws SluiceError SLUICE_MAP_MISMATCH, or the given code
 */
export function checkMap(
  fd: MapFd,
  expected: ExpectedMap,
  code: DatapathErrorCode = "SLUICE_MAP_MISMATCH",
): MapInfo {
  const found = mapInfo(fd);
  const differences = mapDifferences(found, expected);
  if (differences.length > 0) {
    throw datapathError(code, `map ${expected.name} has ${differences.join(", ")}`);
  }
  return found;
}
