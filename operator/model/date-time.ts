const RFC_3339 =
  /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:Z|([+-])(\d{2}):(\d{2}))$/;

/**
 * Reads RFC 3339 as the API server does: upper-case T and Z, an offset is needed, no leap second.
 *
 * @returns milliseconds since the epoch, undefined when the text is no moment
 */
export function parseDateTime(text: string): number | undefined {
  const match = RFC_3339.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  const isCalendarDay = date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  const [, , , , , , , fraction, sign, offsetHour, offsetMinute] = match;
  const offset = Number(offsetHour ?? 0) * 60 + Number(offsetMinute ?? 0);
  if (
    !isCalendarDay ||
    hour > 23 ||
    minute > 59 ||
    second > 59 ||
    Number(offsetHour ?? 0) > 23 ||
    Number(offsetMinute ?? 0) > 59
  ) {
    return undefined;
  }
  const minutes = hour * 60 + minute - (sign === "-" ? -offset : offset);
  const milliseconds = second * 1000 + Math.floor(Number(`0.${fraction ?? 0}`) * 1000);
  return date.getTime() + minutes * 60_000 + milliseconds;
}

const UNIT_MS = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;

/**
 * Reads a duration such as `2m` or `1h30m`.
 *
 * @returns milliseconds, undefined when the text is no duration
 */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(h|ms|m|s))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)(h|ms|m|s)/g)) {
    total += Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
  }
  return total;
}
