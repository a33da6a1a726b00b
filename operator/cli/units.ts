/** `1,234,567` */
export function formatCount(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 0 });
}

/** Per second, of two totals; undefined when there is no earlier one, or the count began anew. */
export function ratePerSecond(
  now: number,
  before: number | undefined,
  seconds: number,
): number | undefined {
  if (before === undefined || now < before || seconds <= 0) return undefined;
  return (now - before) / seconds;
}

/** `1,234`; below 10 with one decimal; `-` when unknown. */
export function formatRate(rate: number | undefined): string {
  if (rate === undefined) return "-";
  return rate > 0 && rate < 10 ? rate.toFixed(1) : formatCount(rate);
}

/** `512 B`, `1.5 KiB`, `2.0 GiB` */
export function formatBytes(bytes: number): string {
  return scale(bytes, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
}

/** Bits per second of a rate in bytes: `8.0 Mbit/s`; `-` when unknown. */
export function formatBitRate(bytesPerSecond: number | undefined): string {
  if (bytesPerSecond === undefined) return "-";
  return scale(bytesPerSecond * 8, 1000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"]);
}

function scale(value: number, step: number, units: readonly string[]): string {
  let at = 0;
  let scaled = value;
  // 999.95 would be written as 1000.0.
  while (scaled >= step - 0.05 && at < units.length - 1) {
    scaled /= step;
    at++;
  }
  return `${at === 0 ? Math.round(scaled) : scaled.toFixed(1)} ${units[at]}`;
}

const spans: readonly (readonly [unit: string, ms: number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
];

/** The two largest units: `3d4h`, `2m5s`; `0s` below one second. */
export function formatSpan(ms: number): string {
  let rest = Math.max(0, ms);
  const parts: string[] = [];
  for (const [unit, size] of spans) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
    if (parts.length === 2 || (parts.length === 1 && count === 0)) break;
  }
  return parts.length === 0 ? "0s" : parts.join("");
}

/** A moment as people ask for it: `in 9m58s`, `3h2m ago`; the text itself when it is no moment. */
export function formatMoment(rfc3339: string, nowMs: number): string {
  const at = Date.parse(rfc3339);
  if (Number.isNaN(at)) return rfc3339;
  return at >= nowMs ? `in ${formatSpan(at - nowMs)}` : `${formatSpan(nowMs - at)} ago`;
}
