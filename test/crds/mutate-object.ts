import type { Random } from "../fuzz/random.js";
import { completeObjects, type JsonObject } from "./complete-objects.js";
import { type Place, placesIn, replaceAt } from "./places.js";

/** Texts at the edge of what one field or another takes. */
export const TEXTS: readonly string[] = [
  // Names and labels
  "",
  " ",
  "a",
  "A",
  "a-",
  "-a",
  "a.b",
  "a..b",
  "a_b",
  "default",
  "fail-safe",
  "example.com/role",
  "example.com/",
  "/role",
  "é",
  "a\u00a0b",
  "a\u2003b",
  "🔥",
  "🔥".repeat(16),
  "a\n",
  "a".repeat(63),
  "a".repeat(64),
  // Interfaces
  "eth*",
  "e?h0",
  "[ab]",
  "eth0|eth1",
  "eth0\\",
  "averyverylongname",
  "*verylonginterfacenames",
  // Durations
  "2m",
  "1h30m",
  "1h1h",
  "0s",
  "0h0m",
  "1ms",
  "90s2m",
  "1.5h",
  "99999h99999h99999h99999h",
  "123456s",
  "2 m",
  "1us",
  // Addresses
  "10.0.0.0/8",
  "10.0.0.1/8",
  "10.1.0.0/16",
  "0.0.0.0/0",
  "255.255.255.255/32",
  "10.0.0.0/33",
  "10.0.0.0/08",
  "010.0.0.0/8",
  "10.0.0.0",
  "10.0.0",
  "10.0.0.0/",
  "10.0.0.0/-1",
  "10.0.0.0/+8",
  "10.0.0.0/8/8",
  "0x0a.0.0.0/8",
  "::/0",
  "::",
  "::1",
  "::1/128",
  "2001:db8::/32",
  "2001:DB8::/32",
  "2001:db8:0:0::/64",
  "2001:0db8::/32",
  "1:0:0:2:0:0:0:3",
  "1::2:0:0:0:3",
  "1:0:0:2::3",
  "1:0:2:3:4:5:6:7",
  "1::2:3:4:5:6:7",
  "::ffff:10.0.0.1",
  "::ffff:a00:1",
  "::ffff:a00:1/128",
  "64:ff9b::10.0.0.1",
  "::10.0.0.1",
  "::a00:1",
  "fe80::1%eth0",
  // Moments
  "2026-12-31T00:00:00Z",
  "2026-12-31T00:00:00.5Z",
  "2026-12-31T00:00:00+02:00",
  "2026-12-31t00:00:00z",
  "2026-12-31 00:00:00Z",
  "2026-12-31T00:00:00",
  "2026-12-31",
  "2026-02-30T00:00:00Z",
  "2026-13-01T00:00:00Z",
  "2026-12-31T24:00:00Z",
  "2026-12-31T23:59:60Z",
  "2026-12-31T00:00Z",
  "0000-01-01T00:00:00Z",
  "9999-12-31T23:59:59Z",
  "1969-01-01T00:00:00Z",
  "2026-12-31T00:00:00+24:00",
  "2026-12-31T00:00:00+0200",
  "2026-12-31T00:00:00,5Z",
  "2026-12-31T00:00:00.Z",
  "2026-12-31T00:00:00-00:00",
  "2026-12-31T00:00:00.1234567890123456789Z",
];

export const NUMBERS: readonly number[] = [
  -1,
  0,
  1,
  2,
  32,
  33,
  128,
  129,
  255,
  256,
  1000,
  1001,
  4095,
  4096,
  65_535,
  65_536,
  1.5,
  2 ** 31,
  2 ** 53,
  1e300,
];

/** A copy with one change at a random place; it may be valid still. */
export function mutateObject(random: Random, object: JsonObject): JsonObject {
  const place = random.pick(placesIn(object).slice(1));
  return replaceAt(object, place.path, changed(random, place));
}

function changed(random: Random, place: Place): unknown {
  const { value, schema } = place;
  if (value === null || random.chance(0.04)) return null;
  if (random.chance(0.04))
    return random.pick<unknown>(["text", 7, 1.5, true, [], {}, [1], { a: 1 }]);
  if (random.chance(0.08)) return undefined;
  if (Array.isArray(value)) return changedList(random, value as readonly unknown[]);
  switch (typeof value) {
    case "string":
      return random.pick([...TEXTS, ...(schema.enum ?? []), ...(schema.enum ?? [])]);
    case "number":
      return random.pick([...NUMBERS, schema.minimum ?? 0, schema.maximum ?? 0]);
    default:
      return changedFields(random, place);
  }
}

function changedList(random: Random, list: readonly unknown[]): unknown {
  switch (random.between(0, 3)) {
    case 0:
      return [];
    case 1:
      return list.length === 0 ? [null] : [...list, random.pick(list)];
    case 2:
      return list.toReversed();
    default:
      return [...list, random.pick<unknown>([{}, "", 0, null, ...TEXTS])];
  }
}

/** One more field or one less, or one under another name. */
function changedFields(random: Random, { value, schema, schemaPath }: Place): unknown {
  const fields = value as JsonObject;
  const names = Object.keys(fields);
  const others = Object.keys(schema.properties ?? {}).filter((name) => !names.includes(name));
  switch (random.between(0, 4)) {
    case 0:
      return { ...fields, [random.pick(TEXTS)]: random.pick(TEXTS) };
    case 1:
      return names.length === 0 ? fields : replaceAt(fields, [random.pick(names)], undefined);
    default: {
      if (others.length === 0) return {};
      const name = random.pick(others);
      return { ...fields, [name]: random.pick(samples(`${schemaPath}.${name}`)) };
    }
  }
}

/** Values that one field has in the complete objects. */
function samples(schemaPath: string): readonly unknown[] {
  return completeObjects
    .flatMap(placesIn)
    .filter((place) => place.schemaPath === schemaPath)
    .map(({ value }) => value);
}
