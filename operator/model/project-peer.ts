import { cidrContains, isFault, PEER_CIDR, readCidr } from "./cidr.js";
import { formatCidr } from "./cidr-format.js";
import { type FieldPath, type Finding, fault } from "./finding.js";
import type { RuleManifest } from "./project-policy.js";
import type { Cidr, LabelSelector, Peer } from "./records.js";

type PeerManifest = NonNullable<RuleManifest["from"]>[number];

/** The peers of one `from` or `to`; those with faults are left out. */
export function projectPeers(
  peers: readonly PeerManifest[],
  path: FieldPath,
  findings: Finding[],
): readonly Peer[] {
  return peers.flatMap((peer, index) => projectPeer(peer, [...path, index], findings) ?? []);
}

function projectPeer(peer: PeerManifest, path: FieldPath, findings: Finding[]): Peer | undefined {
  if (peer.cidr !== undefined) {
    const cidr = projectCidr(peer.cidr, [...path, "cidr"], findings);
    const except = (peer.except ?? []).flatMap((text, index) => {
      const at = [...path, "except", index];
      const block = projectCidr(text, at, findings);
      if (cidr === undefined || block === undefined) return [];
      const misplaced = findMisplaced(cidr, block);
      if (misplaced === undefined) return block;
      findings.push(fault("SLUICE_EXCEPT", at, misplaced));
      return [];
    });
    return cidr && { kind: "cidr", cidr, except };
  }
  if (peer.cidrSet !== undefined) return { kind: "cidrSet", setName: peer.cidrSet };
  if (peer.nodes === undefined) return undefined;
  return { kind: "nodes", selector: projectSelector(peer.nodes, [...path, "nodes"], findings) };
}

function projectCidr(text: string, path: FieldPath, findings: Finding[]): Cidr | undefined {
  const cidr = readCidr(text, PEER_CIDR);
  if (!isFault(cidr)) return cidr;
  findings.push(fault("SLUICE_CIDR", path, cidr.message, cidr.remedy));
  return undefined;
}

function findMisplaced(cidr: Cidr, block: Cidr): string | undefined {
  const outer = formatCidr(cidr);
  const inner = formatCidr(block);
  if (cidr.family !== block.family) {
    return `${inner} is IPv${block.family}, but its cidr ${outer} is IPv${cidr.family}`;
  }
  if (outer === inner) return `${inner} leaves nothing of its cidr`;
  if (cidrContains(block, cidr)) return `${inner} contains its cidr ${outer}`;
  return cidrContains(cidr, block) ? undefined : `${inner} lies outside its cidr ${outer}`;
}

/**
 * Checks what CEL rules may not check at this depth: their cost is estimated from the largest
 * lists, and the API server refuses a CRD above its budget.
 */
function projectSelector(
  selector: LabelSelector,
  path: FieldPath,
  findings: Finding[],
): LabelSelector {
  for (const [index, { operator, values = [] }] of (selector.matchExpressions ?? []).entries()) {
    const needsValues = operator === "In" || operator === "NotIn";
    if (needsValues === values.length > 0) continue;
    findings.push(
      fault(
        "SLUICE_RULE",
        [...path, "matchExpressions", index, "values"],
        `the operator ${operator} takes ${needsValues ? "at least one value" : "no values"}`,
        needsValues ? "List the values" : "Remove them, or use In or NotIn",
      ),
    );
  }
  return selector;
}
