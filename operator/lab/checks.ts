import { matchedBetween, requestsBetween, sentBetween, type Snapshot, sum } from "./measure.js";
import { formatCount, formatShare } from "./view.js";

/** One line of the report of `--once`. */
export interface Check {
  readonly name: string;
  readonly passed: boolean;
  /** What was measured, and what was asked for. */
  readonly detail: string;
}

/** Rules of the examples by what they are there for. */
const rules = {
  scan: "known-bad/drop-known-bad",
  failSafePort: "fail-safe/ssh",
  synLimit: "floods/syn-per-network",
  udpLimit: "floods/udp-per-network",
  trial: "candidate/benchmark-networks",
} as const;

/** The rule of the policy on trial, which the scenario puts in force. */
export const trialRule: string = rules.trial;

/** The flood comes from two networks of the size that the limits count by. */
const floodNetworks = 2;
/** Packets per second and network that the limits let through; as much again as the first burst. */
const synRate = 300;
const udpRate = 500;

/** Share of the answered requests that the lab asks for. */
const leastShare = 0.99;
/** Counters and senders are read one after the other, and a veth may lose a packet under load. */
const toleratedShare = 0.002;
const toleratedPackets = 10;

const nodes = [0, 1, 2];

/** Whether two counts are the same but for the tolerance. */
function agree(left: number, right: number): boolean {
  return Math.abs(left - right) <= Math.max(toleratedPackets, right * toleratedShare);
}

function agreeAll(left: readonly number[], right: readonly number[]): boolean {
  return left.every((count, node) => agree(count, right[node] ?? 0));
}

function add(left: readonly number[], right: readonly number[]): readonly number[] {
  return left.map((count, node) => count + (right[node] ?? 0));
}

/** Requests from the first snapshot to the last: floods, edit and killed agent included. */
export function checkRequests(from: Snapshot, to: Snapshot): Check {
  const { succeeded, failed, share, lastFailure } = requestsBetween(from, to, nodes);
  const why = lastFailure === undefined ? "" : `; last failure ${lastFailure}`;
  return {
    name: "legitimate requests",
    passed: share >= leastShare && succeeded > 0,
    detail:
      `${formatCount(succeeded)} of ${formatCount(succeeded + failed)} answered ` +
      `(${formatShare(share)}, asked for ${formatShare(leastShare)})${why}`,
  };
}

/** The scanner is in a set of known bad addresses; only fail-safe ports come before policies. */
export function checkScan(from: Snapshot, to: Snapshot): Check {
  const sent = sentBetween(from, to, "portScan");
  const dropped = matchedBetween(from, to, rules.scan);
  const failSafe = matchedBetween(from, to, rules.failSafePort);
  return {
    name: "port scan",
    passed: agreeAll(add(dropped, failSafe), sent) && sum(dropped) > 0,
    detail:
      `${formatCount(sum(sent))} SYNs sent, ${formatCount(sum(dropped))} dropped by ` +
      `${rules.scan}, ${formatCount(sum(failSafe))} to port 22 accepted by ${rules.failSafePort}`,
  };
}

export function checkUdpFlood(from: Snapshot, to: Snapshot, seconds: number): Check {
  const sent = sentBetween(from, to, "udpFlood");
  const matched = matchedBetween(from, to, rules.udpLimit);
  const dropped = matchedBetween(from, to, rules.udpLimit, "exceeded");
  return limitCheck("UDP flood", rules.udpLimit, { sent, matched, dropped }, udpRate * seconds);
}

/** The limit sees the SYNs of the legitimate client, too, which are within its rate. */
export function checkSynFlood(from: Snapshot, to: Snapshot, seconds: number): Check {
  const sent = sentBetween(from, to, "synFlood");
  const legitimate = to.client.nodes.map(
    ({ sent: requests }, node) => requests - (from.client.nodes[node]?.sent ?? 0),
  );
  const matched = matchedBetween(from, to, rules.synLimit).map(
    (count, node) => count - (legitimate[node] ?? 0),
  );
  const dropped = matchedBetween(from, to, rules.synLimit, "exceeded");
  return limitCheck("SYN flood", rules.synLimit, { sent, matched, dropped }, synRate * seconds);
}

interface Flood {
  readonly sent: readonly number[];
  readonly matched: readonly number[];
  readonly dropped: readonly number[];
}

/** @param allowance packets that the rate lets through per network, without the first burst */
function limitCheck(name: string, rule: string, flood: Flood, allowance: number): Check {
  const { sent, matched, dropped } = flood;
  const burst = rule === rules.udpLimit ? udpRate : synRate;
  const most = floodNetworks * (allowance + burst);
  const passed =
    agreeAll(matched, sent) &&
    sent.every((count, node) => count > most && count - (dropped[node] ?? 0) <= most * 1.02);
  return {
    name,
    passed,
    detail:
      `${formatCount(sum(sent))} sent, ${formatCount(sum(matched))} counted and ` +
      `${formatCount(sum(dropped))} dropped by ${rule}`,
  };
}

/** What an audit policy matches goes on to the policies behind it. */
export function checkTrial(from: Snapshot, to: Snapshot): Check {
  const floods = add(sentBetween(from, to, "udpFlood"), sentBetween(from, to, "synFlood"));
  const wouldDrop = matchedBetween(from, to, rules.trial);
  const behind = matchedBetween(from, to, rules.udpLimit);
  const isReached = agreeAll(behind, sentBetween(from, to, "udpFlood"));
  return {
    name: "policy on trial",
    passed: agreeAll(wouldDrop, floods) && isReached,
    detail:
      `${formatCount(sum(floods))} flood packets sent, ${formatCount(sum(wouldDrop))} counted as ` +
      `would-drop by ${rules.trial}, and ${isReached ? "all" : "not all"} went on`,
  };
}

/** Once in force, the policy leaves nothing for the limits behind it. */
export function checkEdit(
  from: Snapshot,
  to: Snapshot,
  { tookMs, deadlineMs }: { readonly tookMs: number; readonly deadlineMs: number },
): Check {
  const dropped = matchedBetween(from, to, rules.trial);
  const behind = matchedBetween(from, to, rules.udpLimit);
  return {
    name: "edited file",
    passed:
      tookMs <= deadlineMs &&
      dropped.every((count) => count > 0) &&
      behind.every((count) => agree(count, 0)),
    detail:
      `in force on all nodes after ${formatCount(tookMs)} ms ` +
      `(at most ${formatCount(deadlineMs)}); then ${formatCount(sum(dropped))} packets dropped by ${rules.trial}, ` +
      `${formatCount(sum(behind))} left for ${rules.udpLimit}`,
  };
}

/** Between the snapshots an agent was killed under attack, and started again. */
export function checkRestart(from: Snapshot, to: Snapshot): readonly Check[] {
  const requests = requestsBetween(from, to, nodes);
  const floods = add(sentBetween(from, to, "udpFlood"), sentBetween(from, to, "synFlood"));
  const dropped = matchedBetween(from, to, rules.trial);
  const { succeeded, failed, synRetransmits, lastFailure } = requests;
  const why = lastFailure === undefined ? "" : `; last failure ${lastFailure}`;
  return [
    {
      name: "killed agent: requests",
      passed: failed === 0 && succeeded > 0 && synRetransmits === 0,
      detail:
        `${formatCount(succeeded)} answered, ${failed} failed, ` +
        `${synRetransmits} SYNs sent again, from before the kill until after the restart${why}`,
    },
    {
      name: "killed agent: counters",
      passed: agreeAll(dropped, floods) && sum(floods) > 0,
      detail:
        `${formatCount(sum(floods))} flood packets sent meanwhile, ` +
        `${formatCount(sum(dropped))} counted by ${rules.trial}`,
    },
  ];
}

export function formatReport(checks: readonly Check[]): string {
  const lines = checks.map(
    ({ name, passed, detail }) => ` ${passed ? "ok  " : "FAIL"}  ${name.padEnd(24)}${detail}`,
  );
  const failed = checks.filter(({ passed }) => !passed).length;
  const end = failed === 0 ? "all checks hold" : `${failed} of ${checks.length} checks failed`;
  return ["", ...lines, "", end].join("\n");
}
