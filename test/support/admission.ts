import assert from "node:assert/strict";
import { parse } from "yaml";
import { type Admission, admit } from "../../operator/model/admit.js";
import type { Draft } from "../../operator/model/projection.js";
import type { XdpPolicyRecord } from "../../operator/model/records.js";

/** The moment at which the objects of these tests are admitted. */
const NOW_MS = Date.UTC(2026, 5, 1);

/** Admits one object given as YAML. */
export function admitYaml(text: string): Admission {
  return admit({ value: parse(text), origin: { source: "test.yaml", line: 1 } }, NOW_MS);
}

/** Admits a policy with one rule, given as the flow YAML behind its name. */
export function admitRule(rule: string): Admission {
  return admitPolicy(`priority: 1, ingress: [{name: rule, ${rule}}]`);
}

/** Admits a policy, given as the flow YAML of its spec. */
export function admitPolicy(spec: string, metadata = "name: edge"): Admission {
  const head = "apiVersion: sluice.dev/v1alpha1, kind: XdpPolicy";
  return admitYaml(`{${head}, metadata: {${metadata}}, spec: {${spec}}}`);
}

/** Errors as `field: message`, without the path to the only rule. */
export function errorsOf({ problems }: Admission): readonly string[] {
  return problems
    .filter(({ severity }) => severity === "error")
    .map(({ field, message }) => `${field?.replace("spec.ingress[0].", "")}: ${message}`);
}

/** The record of a policy without errors. */
export function policyOf(admission: Admission): Draft<XdpPolicyRecord> {
  assert.deepEqual(errorsOf(admission), []);
  assert.ok(admission.admitted?.draft.kind === "XdpPolicy");
  return admission.admitted.draft;
}
