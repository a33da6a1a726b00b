import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError, type Option } from "commander";
import { parseDocument } from "yaml";
import { nearest } from "../model/nearest.js";
import { SluiceError } from "../errors.js";

/**
 * Sets the options that neither the command line nor the environment gave from a YAML file: a map
 * of option names in camelCase to texts, numbers, booleans, lists (as with commas) or maps (as
 * `k=v`).
 *
 * @throws SluiceError SLUICE_CONFIG that names file, key and remedy
 */
export function applyConfigFile(command: Command, path: string): void {
  const settings = readSettings(path);
  const known = new Map(command.options.map((option) => [option.attributeName(), option]));
  for (const [key, value] of Object.entries(settings)) {
    const option = known.get(key);
    if (option === undefined || key === "config") throw unknownKey(path, key, [...known.keys()]);
    const source = command.getOptionValueSource(key);
    // Read it even when it is overruled: a wrong value must not wait for the day when it is not.
    const parsed = parse(option, toText(value, path, key), path, key);
    if (source === "cli" || source === "env") continue;
    command.setOptionValueWithSource(key, parsed, "config");
  }
}

function readSettings(path: string): Readonly<Record<string, unknown>> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw failure(`the config file ${path} cannot be read: ${why}`, { cause });
  }
  const document = parseDocument(text, { prettyErrors: true });
  const [error] = document.errors;
  if (error !== undefined) {
    throw failure(`the config file ${path} is no YAML: ${error.message}`, { cause: error });
  }
  const value: unknown = document.toJS();
  if (value === null) return {};
  if (typeof value !== "object" || Array.isArray(value)) {
    throw failure(`the config file ${path} holds no map of options`);
  }
  return value as Record<string, unknown>;
}

function unknownKey(path: string, key: string, known: readonly string[]): SluiceError {
  const guess = nearest(key, known);
  return failure(`the config file ${path} has the unknown key ${key}`, {
    remedy: guess === undefined ? `Known keys: ${known.join(", ")}` : `Did you mean ${guess}?`,
  });
}

/** As it would be written on the command line. */
function toText(value: unknown, path: string, key: string): string {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return value.map((item) => toText(item, path, key)).join(",");
  if (typeof value === "object" && value !== null) {
    return Object.entries(value)
      .map(([name, item]) => `${name}=${toText(item, path, key)}`)
      .join(",");
  }
  throw failure(`${key} in the config file ${path} has no value`, {
    remedy: "Give it one, or remove the key",
  });
}

function parse(option: Option, text: string, path: string, key: string): unknown {
  try {
    if (option.argChoices !== undefined && !option.argChoices.includes(text)) {
      throw new InvalidArgumentError(`Use one of ${option.argChoices.join(", ")}.`);
    }
    return option.parseArg === undefined ? text : option.parseArg(text, undefined);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw failure(`${key} in the config file ${path} is ${text === "" ? "empty" : text}`, {
      remedy: error.message,
      cause: error,
    });
  }
}

function failure(
  problem: string,
  options: { readonly remedy?: string; readonly cause?: unknown } = {},
): SluiceError {
  return new SluiceError("SLUICE_CONFIG", problem, {
    remedy: "Check the path, or leave out --config",
    ...options,
  });
}
