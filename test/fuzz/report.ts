/** A failure, told so that it can be understood without running anything. */

import { formatAddress } from "../oracle/address.js";
import { parseFrame } from "../oracle/parse.js";
import type { MatchedRule } from "../oracle/world.js";
import type { Failure } from "./check.js";
import type { FuzzCase } from "./generate.js";
import { worldToYaml } from "./manifest.js";
import type { Judgement } from "./subject.js";

export interface Finding {
  readonly seed: number;
  /** Of the case within its run. */
  readonly index: number;
  /** Packets that were generated for the case; it is not the same with another number. */
  readonly packetsPerWorld: number;
  /** As small as it got. */
  readonly fuzzCase: FuzzCase;
  readonly failure: Failure;
  /** False: a second run of the very same case agreed, so nothing could be left out. */
  readonly isReproducible: boolean;
}

export function describeFinding(finding: Finding): string {
  const { seed, index, packetsPerWorld, fuzzCase, failure } = finding;
  const lines = [
    `${failure.kind} in case ${index} of seed ${seed}`,
    `  again: npm run fuzz -- --seed ${seed} --only-case ${index} --packets-per-world ${packetsPerWorld}`,
  ];
  if (!finding.isReproducible) {
    lines.push("  a second run of this case did not fail: it depends on time or on earlier cases");
  }
  switch (failure.kind) {
    case "mismatch":
      lines.push(`  oracle:  ${describeJudgement(failure.expected)}`);
      lines.push(`  subject: ${describeJudgement(failure.actual)}`);
      lines.push(...describePackets(fuzzCase, failure.index));
      break;
    case "error":
      lines.push(`  the subject threw: ${describeError(failure.error)}`);
      lines.push(...describePackets(fuzzCase, failure.index));
      break;
    case "refusal":
      lines.push(`  the subject refused the world: ${describeError(failure.error)}`);
      break;
  }
  return `${lines.join("\n")}\n${worldToYaml(fuzzCase.world).replaceAll(/^(?=.)/gm, "  ")}`;
}

export function describeJudgement(judgement: Judgement): string {
  const { verdict, reason, policy, rule, matched } = judgement;
  const decider = policy === undefined ? "" : ` by ${policy}/${rule}`;
  const walk =
    matched === undefined ? "" : `; matched: ${matched.map(describeMatch).join(", ") || "-"}`;
  return `${verdict}, ${reason}${decider}${walk}`;
}

function describeMatch({ policy, rule, effect }: MatchedRule): string {
  return `${policy}/${rule} ${effect}`;
}

function describeError(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function describePackets({ packets }: FuzzCase, failed: number): readonly string[] {
  return packets
    .slice(0, failed + 1)
    .flatMap(({ interfaceName, frame }, index) => [
      `  packet ${index + 1}${index === failed ? " (this one)" : ""} on ${interfaceName}: ${describeFrame(frame)}`,
      `    ${Buffer.from(frame).toString("hex")}`,
    ]);
}

function describeFrame(frame: Uint8Array): string {
  const parsed = parseFrame(frame);
  switch (parsed.kind) {
    case "not-ip":
      return "not IP";
    case "unparsable":
      return `unparsable, ${parsed.reason}`;
    case "parsed": {
      const { source, destination, protocol, ports, tcpFlags, icmp, fragment, traits } =
        parsed.packet;
      return [
        `${formatAddress(source)} → ${formatAddress(destination)} protocol ${protocol}`,
        ports && `ports ${ports.source} → ${ports.destination}`,
        tcpFlags && `flags [${[...tcpFlags].join(" ")}]`,
        icmp && `type ${icmp.type} code ${icmp.code}`,
        fragment &&
          `fragment id ${fragment.id} offset ${fragment.offset}${fragment.more ? " +" : ""}`,
        traits.size > 0 && `traits [${[...traits].join(" ")}]`,
      ]
        .filter((part) => typeof part === "string")
        .join(", ");
    }
  }
}
