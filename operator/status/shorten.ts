/** Longest message in a condition, an Event or a list of a status. */
export const LONGEST_MESSAGE = 256;

/**
 * One line of at most `limit` UTF-16 units, which is never more characters than the API server counts. Cut at a word,
 * with `…` in place of the rest.
 */
export function shorten(text: string, limit = LONGEST_MESSAGE): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  if (line.length <= limit) return line;
  const cut = line.slice(0, limit - 1);
  // A word that fills most of the text is cut inside rather than lost.
  const space = line[limit - 1] === " " ? cut.length : cut.lastIndexOf(" ");
  const words = space > limit / 2 ? cut.slice(0, space) : cut.replace(/[\uD800-\uDBFF]$/, "");
  return `${words.replace(/[\s,;:.]+$/, "")}…`;
}
