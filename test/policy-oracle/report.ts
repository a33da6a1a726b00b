/** A finding, told so that it can be understood without running anything. */

import { stringify } from "yaml";
import type { Failure, Finding } from "./compare.js";
import type { PolicyCase } from "./generate.js";
import { keyOf } from "./manifests.js";
import { endsOf, type Packet } from "./packet.js";
import type { Expected, PolicyAnswer } from "./subject.js";
import { describeVerdict } from "./verdict.js";

export function describeFinding(finding: Finding): string {
  const { seed, index, packetsPerCluster, policyCase, failure } = finding;
  const again = finding.isReproducible
    ? []
    : ["  a second run of this case did not fail: it depends on time or on earlier cases"];
  const packets = policyCase.packets.map(
    (packet) => `  packet: ${describePacket(policyCase, packet)}`,
  );
  return [
    `${failure.kind} in case ${index} of seed ${seed} with ${packetsPerCluster} packets per cluster`,
    ...again,
    ...describeFailure(failure),
    ...packets,
    `  judged on ${policyCase.node}`,
    toYaml(policyCase).replaceAll(/^(?=.)/gm, "  "),
  ].join("\n");
}

function describeFailure(failure: Failure): readonly string[] {
  switch (failure.kind) {
    case "mismatch":
      return [
        `  oracle:  ${describeExpected(failure.expected)}`,
        `  subject: ${describeAnswer(failure.actual)}`,
      ];
    case "error":
      return [`  the subject threw: ${describeError(failure.error)}`];
    case "refusal":
      return [`  the subject refused the cluster: ${describeError(failure.error)}`];
  }
}

function describeExpected({ allowed, directions }: Expected): string {
  const parts = directions.map(([name, verdict]) => `${name} ${describeVerdict(verdict)}`);
  return `${allowed ? "allowed" : "denied"}: ${parts.join("; ")}`;
}

function describeAnswer({ allowed, policy, rule }: PolicyAnswer): string {
  const name = policy === undefined ? "no policy" : [policy, rule ?? []].flat().join(", ");
  return `${allowed ? "allowed" : "denied"}: ${name}`;
}

function describeError(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function describePacket({ cluster }: PolicyCase, packet: Packet): string {
  const { source, destination } = endsOf(cluster, packet);
  const from = source.pod ? `${keyOf(source.pod)} ` : "";
  const to = destination.pod ? `${keyOf(destination.pod)} ` : "";
  const port = packet.destinationPort === undefined ? "" : ` port ${packet.destinationPort}`;
  const type = packet.icmpType === undefined ? "" : ` type ${packet.icmpType}`;
  return `${from}(${packet.source}) → ${to}(${packet.destination}) protocol ${packet.protocol}${port}${type}`;
}

const KINDS = {
  namespaces: ["v1", "Namespace"],
  nodes: ["v1", "Node"],
  pods: ["v1", "Pod"],
  networkPolicies: ["networking.k8s.io/v1", "NetworkPolicy"],
  clusterNetworkPolicies: ["policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy"],
} as const;

function toYaml({ cluster }: PolicyCase): string {
  return Object.entries(KINDS)
    .flatMap(([list, [apiVersion, kind]]) =>
      cluster[list as keyof typeof KINDS].map((object) =>
        stringify({ apiVersion, kind, ...object }, { aliasDuplicateObjects: false }),
      ),
    )
    .join("---\n");
}
