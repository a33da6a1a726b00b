import type { SluiceErrorCode } from "../datapath/errors.js";

export { SluiceError, type SluiceErrorCode, type SluiceErrorOptions } from "../datapath/errors.js";

/** What each code of the manifests means, and what to do when the finder knows nothing better. */
export const manifestCodes = {
  SLUICE_FOLDER_UNREADABLE: "Check the path and its permissions; what was in force stays",
  SLUICE_FILE_UNREADABLE: "Check the permissions of the file; what was in force stays",
  SLUICE_FILE_TOO_LARGE: "Split the file; what was in force stays",
  SLUICE_FILE_CHANGING: "Let the writer finish; the file is read again on its own",
  SLUICE_YAML_SYNTAX: "Correct the line; until then the objects last read from this file stay",
  SLUICE_NOT_AN_OBJECT: "Start each document with apiVersion, kind and metadata",
  SLUICE_UNKNOWN_KIND: "Use one of the kinds listed",
  SLUICE_UNKNOWN_VERSION: "Use the version listed",
  SLUICE_OBJECT_TOO_LARGE: "Split it; the API server would not take an object of this size either",
  SLUICE_FOREIGN_KIND: "Keep it elsewhere if the warning is in the way",
  SLUICE_DUPLICATE_OBJECT: "Rename one of them, or remove it",
  SLUICE_NAME:
    "Use lower-case letters, digits, - and ., beginning and ending with a letter or digit",
  SLUICE_SCHEMA: "See the field's description in the CRD (kubectl explain)",
  SLUICE_UNKNOWN_FIELD: "Remove the field, or correct its name",
  SLUICE_DUPLICATE_ENTRY: "Remove one of them, or rename it",
  SLUICE_RULE: "See the field's description in the CRD (kubectl explain)",
  SLUICE_CIDR: "Write a CIDR such as 192.0.2.0/24 or 2001:db8::/32",
  SLUICE_EXCEPT: "Write a block that lies inside its cidr and is smaller than it",
  SLUICE_EXPIRED: "Remove it, or move its expiresAt",
  SLUICE_SMALL_BURST: "Raise burst to at least one full frame",
  SLUICE_MIXED_FAMILIES: "Write one rule for each family",
  SLUICE_NOT_SUPPORTED: "See docs/policy.md for what is",
  SLUICE_MORE_PROBLEMS: "Correct the ones listed first",
} as const satisfies Record<SluiceErrorCode, string>;

/** Codes that a {@link Problem} of a manifest carries. */
export type ManifestCode = keyof typeof manifestCodes;
