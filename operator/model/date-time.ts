const RFC_3339 =
  /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:Z|([+-])(\d{2}):(\d{2}))$/;

/**
 * Reads RFC 3339 as the API server does: upper-case T and Z, an offset is needed, no leap second.
 *
 * @returns milliseconds since the epoch, undefined when the text is no moment
 */
export function parseDateTime(text: string): number | undefined {
  return readWholeSecond(text) ?? parseAny(text);
}

/**
 * Reads `2026-12-31T00:00:00Z` without allocating: a set may have 50,000 of these.
 *
 * @returns undefined for all other forms, and for days that only a calendar knows to be there
 */
function readWholeSecond(text: string): number | undefined {
  if (
    text.length !== 20 ||
    text.charCodeAt(4) !== DASH ||
    text.charCodeAt(7) !== DASH ||
    text.charCodeAt(10) !== UPPER_T ||
    text.charCodeAt(13) !== COLON ||
    text.charCodeAt(16) !== COLON ||
    text.charCodeAt(19) !== UPPER_Z
  ) {
    return undefined;
  }
  const century = twoDigits(text, 0);
  const yearOfCentury = twoDigits(text, 2);
  const month = twoDigits(text, 5);
  const day = twoDigits(text, 8);
  const hour = twoDigits(text, 11);
  const minute = twoDigits(text, 14);
  const second = twoDigits(text, 17);
  // Date.UTC takes years below 100 for those of the last century.
  const isPlain = century >= 1 && yearOfCentury >= 0 && month >= 1 && month <= 12;
  const isDay = day >= 1 && day <= 28;
  if (!isPlain || !isDay || !isBelow(hour, 24) || !isBelow(minute, 60) || !isBelow(second, 60)) {
    return undefined;
  }
  return Date.UTC(century * 100 + yearOfCentury, month - 1, day, hour, minute, second);
}

const DIGIT_0 = 48;
const DASH = 45;
const COLON = 58;
const UPPER_T = 84;
const UPPER_Z = 90;

/** −1 when they are none. */
function twoDigits(text: string, at: number): number {
  const tens = text.charCodeAt(at) - DIGIT_0;
  const ones = text.charCodeAt(at + 1) - DIGIT_0;
  return isBelow(tens, 10) && isBelow(ones, 10) ? tens * 10 + ones : -1;
}

function isBelow(value: number, limit: number): boolean {
  return value >= 0 && value < limit;
}

function parseAny(text: string): number | undefined {
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
