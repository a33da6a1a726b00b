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
  isolation: "isolation/ingress: shop/web",
  admin: "ClusterNetworkPolicy guests/no-machines",
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
/** Counters and senders are read one after the other, and one address is an exception of a rule. */
const toleratedShare = 0.001;
const toleratedPackets = 10;

/** Whether a rule counted what was sent, on each node, but for the tolerance and what was lost. */
function agree(counted: readonly number[], sent: readonly number[], lost: number): boolean {
  return counted.every((count, node) => {
    const difference = (sent[node] ?? 0) - count;
    const tolerated = Math.max(toleratedPackets, count * toleratedShare);
    return difference >= -tolerated && difference <= tolerated + lost;
  });
}

function lostBetween(from: Snapshot, to: Snapshot): number {
  return to.lost - from.lost;
}

/** `120,000 sent`, and what of it the wire lost, if anything. */
function tellSent(sent: readonly number[], lost: number): string {
  const rest = lost === 0 ? "" : ` (of all traffic ${formatCount(lost)} lost on the wire)`;
  return `${formatCount(sum(sent))} sent${rest}`;
}

function add(left: readonly number[], right: readonly number[]): readonly number[] {
  return left.map((count, node) => count + (right[node] ?? 0));
}

/** Requests from the first snapshot to the last: floods, edit and killed agent included. */
export function checkRequests(from: Snapshot, to: Snapshot): Check {
  const { succeeded, failed, share, lastFailure } = requestsBetween(from.client, to.client);
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
  const lost = lostBetween(from, to);
  return {
    name: "port scan",
    passed: agree(add(dropped, failSafe), sent, lost) && sum(dropped) > 0,
    detail:
      `${tellSent(sent, lost)}, ${formatCount(sum(dropped))} dropped by ${rules.scan}, ` +
      `${formatCount(sum(failSafe))} to port 22 accepted by ${rules.failSafePort}`,
  };
}

export function checkUdpFlood(from: Snapshot, to: Snapshot, seconds: number): Check {
  return limitCheck("UDP flood", rules.udpLimit, udpRate * (seconds + 1), {
    sent: sentBetween(from, to, "udpFlood"),
    matched: matchedBetween(from, to, rules.udpLimit),
    dropped: matchedBetween(from, to, rules.udpLimit, "exceeded"),
    lost: lostBetween(from, to),
  });
}

/** The limit sees the SYNs of the legitimate client, too, which are within its rate; those of pods come in tunnels. */
export function checkSynFlood(from: Snapshot, to: Snapshot, seconds: number): Check {
  const legitimate = to.client.nodes.map(
    ({ sent: requests }, node) => requests - (from.client.nodes[node]?.sent ?? 0),
  );
  return limitCheck("SYN flood", rules.synLimit, synRate * (seconds + 1), {
    sent: sentBetween(from, to, "synFlood"),
    matched: matchedBetween(from, to, rules.synLimit).map(
      (count, node) => count - (legitimate[node] ?? 0),
    ),
    dropped: matchedBetween(from, to, rules.synLimit, "exceeded"),
    lost: lostBetween(from, to),
  });
}

interface Flood {
  readonly sent: readonly number[];
  readonly matched: readonly number[];
  readonly dropped: readonly number[];
  readonly lost: number;
}

/** @param allowance packets that a limit lets through for each network, with the first burst */
function limitCheck(name: string, rule: string, allowance: number, flood: Flood): Check {
  const { sent, matched, dropped, lost } = flood;
  const most = floodNetworks * allowance * 1.02;
  const isLimited = matched.every(
    (count, node) => count > most && count - (dropped[node] ?? 0) <= most,
  );
  return {
    name,
    passed: agree(matched, sent, lost) && isLimited,
    detail:
      `${tellSent(sent, lost)}, ${formatCount(sum(matched))} counted and ` +
      `${formatCount(sum(dropped))} dropped by ${rule}`,
  };
}

function floodsBetween(from: Snapshot, to: Snapshot): readonly number[] {
  return add(sentBetween(from, to, "udpFlood"), sentBetween(from, to, "synFlood"));
}

/** What an audit policy matches goes on to the policies behind it. */
export function checkTrial(from: Snapshot, to: Snapshot): Check {
  const floods = floodsBetween(from, to);
  const lost = lostBetween(from, to);
  const wouldDrop = matchedBetween(from, to, rules.trial);
  const behind = matchedBetween(from, to, rules.udpLimit);
  const isReached = agree(behind, sentBetween(from, to, "udpFlood"), lost);
  return {
    name: "policy on trial",
    passed: agree(wouldDrop, floods, lost) && isReached,
    detail:
      `${tellSent(floods, lost)}, ${formatCount(sum(wouldDrop))} counted as would-drop by ` +
      `${rules.trial}, and ${isReached ? "all" : "not all"} went on`,
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
  const isInForce =
    dropped.every((count) => count > 0) && behind.every((count) => count <= toleratedPackets);
  return {
    name: "edited file",
    passed: tookMs <= deadlineMs && isInForce,
    detail:
      `in force on all nodes after ${formatCount(tookMs)} ms ` +
      `(at most ${formatCount(deadlineMs)}); then ${formatCount(sum(dropped))} dropped by ` +
      `${rules.trial}, ${formatCount(sum(behind))} left for ${rules.udpLimit}`,
  };
}

/** Between the snapshots an agent was killed under attack, and started again. */
export function checkRestart(from: Snapshot, to: Snapshot): readonly Check[] {
  const requests = requestsBetween(from.client, to.client);
  const floods = floodsBetween(from, to);
  const lost = lostBetween(from, to);
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
      passed: agree(dropped, floods, lost) && sum(floods) > 0,
      detail: `${tellSent(floods, lost)}, ${formatCount(sum(dropped))} counted by ${rules.trial}`,
    },
  ];
}

/** Pods whose traffic the policies decide about. */
const allowedPod = "shop/cart";
const deniedPod = "guest/visitor";
const webPods = ["web-1", "web-2"];

function podRequests(from: Snapshot, to: Snapshot, pod: string) {
  const [before, after] = [from.pods.get(pod), to.pods.get(pod)];
  if (before === undefined || after === undefined) throw new Error(`there is no pod ${pod}`);
  return (targets: readonly string[] = after.targets) => {
    const indexes = targets.map((target) => after.targets.indexOf(target));
    return requestsBetween(before.report, after.report, indexes);
  };
}

/** What policies allow is answered, over nodes too; what they do not is dropped by the rule that says so. */
export function checkPods(from: Snapshot, to: Snapshot): readonly Check[] {
  const allowed = podRequests(from, to, allowedPod)();
  const denied = podRequests(from, to, deniedPod)();
  const isolation = sum(matchedBetween(from, to, rules.isolation));
  const admin = sum(matchedBetween(from, to, rules.admin));
  const why = allowed.lastFailure === undefined ? "" : `; last failure ${allowed.lastFailure}`;
  return [
    {
      name: "pods: allowed",
      passed: allowed.share >= leastShare && allowed.succeeded > 0,
      detail:
        `${formatCount(allowed.succeeded)} of ${formatCount(allowed.succeeded + allowed.failed)} ` +
        `requests of ${allowedPod} answered${why}`,
    },
    {
      name: "pods: denied",
      passed: denied.succeeded === 0 && denied.failed > 0 && isolation > 0 && admin > 0,
      detail:
        `${formatCount(denied.succeeded)} of ${formatCount(denied.succeeded + denied.failed)} ` +
        `requests of ${deniedPod} answered; ${formatCount(isolation)} packets dropped by ` +
        `${rules.isolation}, ${formatCount(admin)} by ${rules.admin}`,
    },
  ];
}

/** Once the policy names others, it shuts out those that it named before. */
export function checkPodEdit(from: Snapshot, to: Snapshot): Check {
  const { succeeded } = podRequests(from, to, allowedPod)(webPods);
  const isolation = sum(matchedBetween(from, to, rules.isolation));
  return {
    name: "pods: edited policy",
    passed: succeeded === 0 && isolation > 0,
    detail:
      `then ${formatCount(succeeded)} requests of ${allowedPod} to the web pods answered, ` +
      `${formatCount(isolation)} packets dropped by ${rules.isolation}`,
  };
}

export function formatReport(checks: readonly Check[]): string {
  const lines = checks.map(
    ({ name, passed, detail }) => ` ${passed ? "ok  " : "FAIL"}  ${name.padEnd(24)}${detail}`,
  );
  const failed = checks.filter(({ passed }) => !passed).length;
  const end = failed === 0 ? "all checks hold" : `${failed} of ${checks.length} checks failed`;
  return ["", ...lines, "", end].join("\n");
}
