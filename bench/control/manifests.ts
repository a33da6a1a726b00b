import { admit } from "../../operator/model/admit.js";
import type { ObjectRecord } from "../../operator/model/records.js";
import { parseManifestText } from "../../operator/source/manifest-text.js";
import { randomV4, seededRandom } from "../addresses.js";
import { formatV4 } from "../ipv4-text.js";

/** As many as one XdpCidrSet holds. */
const ENTRIES = 50_000;
export const SET_FILES = 20;
export const SET_NAME = "blocked";

/** Text of the folder's files by name: 1 M random addresses in 20 objects that feed one set, and a policy. */
export function millionManifests(): ReadonlyMap<string, string> {
  const addresses = randomV4(ENTRIES * SET_FILES, seededRandom(31));
  const files = new Map([["policy.yaml", policyText()]]);
  for (let part = 0; part < SET_FILES; part++) {
    const some = addresses.subarray(part * ENTRIES, (part + 1) * ENTRIES);
    files.set(setFile(part), setText(part, Array.from(some, formatV4)));
  }
  return files;
}

export function setFile(part: number): string {
  return `set-${part}.yaml`;
}

/** The text of a set's file with one entry less, so that there is room for another. */
export function withoutLastEntry(text: string): string {
  return text.slice(0, text.trimEnd().lastIndexOf("\n") + 1);
}

export function entryLine(address: number): string {
  return `  - ${formatV4(address)}\n`;
}

function setText(part: number, entries: readonly string[]): string {
  const head = `apiVersion: sluice.dev/v1alpha1
kind: XdpCidrSet
metadata: {name: part-${part}}
spec:
  setName: ${SET_NAME}
  cidrs:
`;
  return head + entries.map((entry) => `  - ${entry}\n`).join("");
}

/** @param rules as many rules as the policy has besides the one that drops */
export function policyText(rules = 3): string {
  const others = Array.from(
    { length: rules },
    (_, index) =>
      `  - {name: limit-${index}, action: Limit, rateLimit: {packetsPerSecond: 100000}, ` +
      `protocols: [{udp: {destinationPort: {number: ${5000 + index}}}}]}\n`,
  );
  return `apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: edge}
spec:
  priority: 100
  ingress:
  - {name: drop-blocked, action: Drop, from: [{cidrSet: ${SET_NAME}}]}
${others.join("")}`;
}

/** The records of a file without faults, as the agent's source reads them. */
export function readRecords(text: string): readonly ObjectRecord[] {
  const { documents = [] } = parseManifestText(text);
  return documents.map((document) => {
    const origin = { source: "bench", line: document.line };
    const { admitted, problems } = admit({ value: document.read(), origin }, Date.now());
    if (admitted === undefined) throw new Error(problems[0]?.message ?? "no object of ours");
    return { ...admitted.draft, origin, generation: 1 };
  });
}
