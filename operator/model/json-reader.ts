import type { ManifestCode } from "../errors.js";
import { type FieldPath, type Finding, fault, quote, warning } from "./finding.js";

type JsonObject = Readonly<Record<string, unknown>>;

const EMPTY: JsonObject = Object.freeze({});
const NO_READERS: readonly JsonReader[] = Object.freeze([]);
const NO_TEXTS: readonly string[] = Object.freeze([]);

/**
 * Reads fields of an object that nobody has checked. A field that is missing or null is undefined; one
 * of the wrong type is undefined as well, and a finding says so. Fields that nobody asks for stay
 * unread: the object belongs to Kubernetes.
 */
export class JsonReader {
  readonly #object: JsonObject;
  readonly #findings: Finding[];
  readonly #parent: JsonReader | undefined;
  readonly #steps: FieldPath;
  /** Whether the field is there. */
  readonly isPresent: boolean;

  private constructor(
    object: JsonObject | undefined,
    findings: Finding[],
    parent: JsonReader | undefined,
    steps: FieldPath,
  ) {
    this.#object = object ?? EMPTY;
    this.isPresent = object !== undefined;
    this.#findings = findings;
    this.#parent = parent;
    this.#steps = steps;
  }

  static root(value: unknown, findings: Finding[]): JsonReader {
    if (isObject(value)) return new JsonReader(value, findings, undefined, []);
    findings.push(fault("SLUICE_NOT_AN_OBJECT", [], `${quote(value)} is no object`));
    return new JsonReader(undefined, findings, undefined, []);
  }

  /** Names of the fields that are there. */
  names(): readonly string[] {
    return Object.keys(this.#object).filter((name) => this.has(name));
  }

  has(name: string): boolean {
    const value = this.#object[name];
    return value !== undefined && value !== null;
  }

  text(name: string): string | undefined {
    const value = this.#object[name];
    if (typeof value === "string") return value;
    return this.#wrong(name, value, "a text");
  }

  /** A text that must be there and not be empty; empty where it is missing. */
  requiredText(name: string): string {
    const text = this.text(name);
    if (text !== undefined && text !== "") return text;
    if (text === "" || !this.has(name)) this.fault("SLUICE_SCHEMA", [name], "is missing", "Add it");
    return "";
  }

  flag(name: string): boolean | undefined {
    const value = this.#object[name];
    if (typeof value === "boolean") return value;
    return this.#wrong(name, value, "true or false");
  }

  /** A whole number, both bounds included. */
  integer(name: string, minimum: number, maximum: number): number | undefined {
    const value = this.#object[name];
    if (typeof value !== "number" || !Number.isInteger(value)) {
      return this.#wrong(name, value, "a whole number");
    }
    if (value >= minimum && value <= maximum) return value;
    const remedy = `Write a number from ${minimum} to ${maximum}`;
    this.fault("SLUICE_SCHEMA", [name], `${value} is out of range`, remedy);
    return undefined;
  }

  /** A number or a text, as ports of pods are written. */
  numberOrText(name: string): number | string | undefined {
    const value = this.#object[name];
    return typeof value === "string" ? value : this.integer(name, 1, 65_535);
  }

  choice<T extends string>(name: string, choices: readonly T[]): T | undefined {
    const text = this.text(name);
    if (text === undefined || (choices as readonly string[]).includes(text)) {
      return text as T | undefined;
    }
    const list = choices.join(", ");
    const message = `${quote(text)} is none of ${list}`;
    this.fault("SLUICE_SCHEMA", [name], message, `Write one of ${list}`);
    return undefined;
  }

  /** The object at a field; an empty one where there is none. */
  object(name: string): JsonReader {
    const value = this.#object[name];
    if (isObject(value)) return new JsonReader(value, this.#findings, this, [name]);
    this.#wrong(name, value, "an object");
    return new JsonReader(undefined, this.#findings, this, [name]);
  }

  /** The objects of a list, without those entries that are none. */
  objects(name: string): readonly JsonReader[] {
    const list = this.#list(name);
    if (list.length === 0) return NO_READERS;
    const readers: JsonReader[] = [];
    for (const [index, value] of list.entries()) {
      if (isObject(value)) readers.push(new JsonReader(value, this.#findings, this, [name, index]));
      else this.#mismatch([name, index], value, "an object");
    }
    return readers;
  }

  /** The texts of a list, without those entries that are none. */
  texts(name: string): readonly string[] {
    const list = this.#list(name);
    if (list.length === 0) return NO_TEXTS;
    for (const [index, value] of list.entries()) {
      if (typeof value !== "string") this.#mismatch([name, index], value, "a text");
    }
    return list.filter((value) => typeof value === "string");
  }

  /** The fields of this object whose values are texts: labels and annotations. */
  textFields(): Readonly<Record<string, string>> {
    const object = this.#object;
    let areTexts = true;
    for (const name in object) {
      if (typeof object[name] === "string") continue;
      areTexts = false;
      this.#mismatch([name], object[name], "a text");
    }
    return areTexts ? (object as Readonly<Record<string, string>>) : {};
  }

  fault(code: ManifestCode, steps: FieldPath, message: string, remedy?: string): void {
    this.#findings.push(fault(code, this.#path(steps), message, remedy));
  }

  warning(code: ManifestCode, steps: FieldPath, message: string, remedy?: string): void {
    this.#findings.push(warning(code, this.#path(steps), message, remedy));
  }

  #list(name: string): readonly unknown[] {
    const value = this.#object[name];
    if (Array.isArray(value)) return value;
    this.#wrong(name, value, "a list");
    return [];
  }

  #wrong(name: string, value: unknown, wanted: string): undefined {
    if (value !== undefined && value !== null) this.#mismatch([name], value, wanted);
  }

  #mismatch(steps: FieldPath, value: unknown, wanted: string): void {
    this.fault("SLUICE_SCHEMA", steps, `${quote(value)} is not ${wanted}`, `Write ${wanted}`);
  }

  #path(steps: FieldPath): FieldPath {
    const path = [...this.#steps, ...steps];
    return this.#parent === undefined ? path : this.#parent.#path(path);
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
