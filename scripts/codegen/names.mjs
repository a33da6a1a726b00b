// @ts-check

/** @param {string} word */
function capital(word) {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}

/** `src_addr` and `src-addr` become `srcAddr`. @param {string} name */
export function camelCase(name) {
  const [first = "", ...rest] = name.split(/[_-]+/).filter((word) => word !== "");
  return first.slice(0, 1).toLowerCase() + first.slice(1) + rest.map(capital).join("");
}

/** `rule_row` becomes `RuleRow`. @param {string} name */
export function pascalCase(name) {
  return capital(camelCase(name));
}

/**
 * Fields that only fill a gap: `pad`, `pad2`, `__pad`, `reserved`. They are written as zeros and have
 * no name in TypeScript.
 *
 * @param {string} name
 */
export function isPadding(name) {
  return /^_*(pad|padding|reserved)_?\d*$/.test(name);
}
