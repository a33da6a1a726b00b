/** Worlds as the YAML that a user would write, so that a found case can be read and replayed. */

import { stringify } from "yaml";
import type {
  NodeRecord,
  Peer,
  PortRange,
  ProtocolMatch,
  RuleAction,
  RuleRecord,
  XdpPolicyRecord,
} from "../../operator/model/records.js";
import { entriesOf, formatCidr, type SetEntry } from "../oracle/address.js";
import type { World } from "../oracle/world.js";

/** Several documents: policies, sets and nodes; the agent's own configuration as comments. */
export function worldToYaml(world: World): string {
  const agent = stringify({
    node: world.node.name,
    labels: world.node.labels,
    uplinks: world.uplinks,
    unparsable: world.unparsable,
    now: new Date(world.nowMs).toISOString(),
    failSafe: world.failSafe.map(ruleSpec),
  });
  const documents = [
    ...world.policies.map(policyManifest),
    ...[...world.sets].map(([name, list]) => setManifest(name, entriesOf(list))),
    ...world.nodes.map(nodeManifest),
  ];
  return [agent.replaceAll(/^(?=.)/gm, "# "), ...documents.map((object) => stringify(object))].join(
    "---\n",
  );
}

function policyManifest(policy: XdpPolicyRecord): object {
  return {
    apiVersion: "sluice.dev/v1alpha1",
    kind: "XdpPolicy",
    metadata: { name: policy.name },
    spec: {
      priority: policy.priority,
      nodeSelector: policy.nodeSelector,
      // Worlds may name one twice, which the schema refuses and which means nothing.
      ...(policy.interfaces.length > 0 && { interfaces: [...new Set(policy.interfaces)] }),
      mode: policy.mode,
      defaultAction: policy.defaultAction,
      ingress: policy.rules.map(ruleSpec),
    },
  };
}

function ruleSpec(rule: RuleRecord): object {
  return {
    name: rule.name,
    ...actionSpec(rule.action),
    ...(rule.from.length > 0 && { from: rule.from.map(peerSpec) }),
    ...(rule.to.length > 0 && { to: rule.to.map(peerSpec) }),
    ...(rule.protocols.length > 0 && { protocols: rule.protocols.map(protocolSpec) }),
    ...(rule.traits.length > 0 && { traits: rule.traits }),
    ...(rule.logOneIn > 0 && { log: { oneIn: rule.logOneIn } }),
    ...(rule.expiresAtMs !== undefined && { expiresAt: timestamp(rule.expiresAtMs) }),
  };
}

function actionSpec(action: RuleAction): object {
  switch (action.kind) {
    case "Accept":
    case "Drop":
    case "Pass":
      return { action: action.kind };
    case "Limit": {
      const { unit, rate, burst, per, ipv4PrefixLength, ipv6PrefixLength } = action.rateLimit;
      return {
        action: action.kind,
        rateLimit: {
          [unit === "packets" ? "packetsPerSecond" : "bytesPerSecond"]: rate,
          burst,
          per,
          ...(per === "SourcePrefix" && { ipv4PrefixLength, ipv6PrefixLength }),
        },
      };
    }
    case "Redirect": {
      const { target } = action;
      const redirect =
        target.kind === "cpus" ? { cpus: target.cpus } : { [target.kind]: target.name };
      return { action: action.kind, redirect };
    }
  }
}

function peerSpec(peer: Peer): object {
  switch (peer.kind) {
    case "cidr":
      return {
        cidr: formatCidr(peer.cidr),
        ...(peer.except.length > 0 && { except: peer.except.map(formatCidr) }),
      };
    case "cidrSet":
      return { cidrSet: peer.setName };
    case "nodes":
      return { nodes: peer.selector };
  }
}

function protocolSpec(match: ProtocolMatch): object {
  switch (match.kind) {
    case "tcp":
    case "udp":
    case "sctp":
      return {
        [match.kind]: {
          ...(match.destinationPort && { destinationPort: portSpec(match.destinationPort) }),
          ...(match.sourcePort && { sourcePort: portSpec(match.sourcePort) }),
          ...(match.kind === "tcp" && match.flags && { flags: match.flags }),
        },
      };
    case "icmp":
    case "icmpv6": {
      const { kind, ...message } = match;
      return { [kind]: message };
    }
    case "protocol":
      return { protocol: match.number };
  }
}

function portSpec({ start, end }: PortRange): object {
  return start === end ? { number: start } : { range: { start, end } };
}

function setManifest(setName: string, entries: readonly SetEntry[]): object {
  const lasting = entries.filter((entry) => entry.expiresAt === 0);
  const expiring = entries.filter((entry) => entry.expiresAt !== 0);
  return {
    apiVersion: "sluice.dev/v1alpha1",
    kind: "XdpCidrSet",
    metadata: { name: setName },
    spec: {
      cidrs: lasting.map((entry) => formatCidr(entry.cidr)),
      ...(expiring.length > 0 && {
        expiring: expiring.map((entry) => ({
          cidr: formatCidr(entry.cidr),
          expiresAt: timestamp(entry.expiresAt * 1000),
        })),
      }),
    },
  };
}

function nodeManifest(node: NodeRecord): object {
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: node.name, labels: node.labels },
    status: {
      addresses: node.addresses.map((cidr) => ({
        type: "InternalIP",
        address: formatCidr(cidr).replace(/\/.*/, ""),
      })),
    },
  };
}

function timestamp(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
