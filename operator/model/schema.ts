import { crds } from "./generated/crds.js";

/** The part of OpenAPI v3 that structural schemas of CRDs use. */
export interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly format?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | false;
  readonly items?: JsonSchema;
  readonly "x-kubernetes-validations"?: readonly ValidationRule[];
  readonly "x-kubernetes-list-type"?: string;
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
  readonly "x-kubernetes-map-type"?: string;
}

/** A CEL rule of a schema. */
export interface ValidationRule {
  readonly rule: string;
  /** What is wrong and, behind the first `; `, what to do about it. */
  readonly message: string;
  /** The field below that the message is about, `.rateLimit`. */
  readonly fieldPath?: string;
}

/**
 * One kind as its CRD file defines it. The files are embedded at build time: crds/ is their source.
 */
export interface Crd {
  readonly kind: string;
  readonly group: string;
  readonly version: string;
  readonly schema: JsonSchema;
}

/** @returns undefined for kinds that have no CRD here */
export function findCrd(kind: string): Crd | undefined {
  return crds.find((crd) => crd.kind === kind);
}
