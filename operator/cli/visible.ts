import { stripVTControlCharacters } from "node:util";

/** Text without colours. */
export function visible(text: string): string {
  return stripVTControlCharacters(text);
}

/**
 * Text from elsewhere (manifests, file names, the agent) made safe for a terminal: control
 * characters, which could move the cursor or forge lines, are shown as `\x1b`.
 */
export function printable(text: string): string {
  return text.replaceAll(
    // oxlint-disable-next-line no-control-regex
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => {
      const code = character.charCodeAt(0);
      return code < 256
        ? `\\x${code.toString(16).padStart(2, "0")}`
        : `\\u${code.toString(16).padStart(4, "0")}`;
    },
  );
}

/** Text cut to so many characters, with a sign that it was. */
export function shorten(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
