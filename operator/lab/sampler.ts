import type { EngineStatus, RuleState, VerdictName } from "../api/engine.js";
import type { NodeAgent } from "./agents.js";
import { type AttackKind, attackKinds } from "./messages.js";
import { createRates, type Rates } from "./rates.js";
import type { Traffic } from "./traffic.js";

/** What one rule did on one node lately. */
export interface RuleRate {
  readonly state: RuleState;
  /** Packets per second that matched. */
  readonly matched: number;
  /** Limit: packets per second above the rate. */
  readonly exceeded: number;
}

export interface NodeSample {
  readonly name: string;
  /** Absent while the agent does not answer; the datapath judges on. */
  readonly agent?: {
    readonly mode: string;
    /** Why the interface is not served as asked for. */
    readonly message?: string;
    /** Packets per second. */
    readonly verdicts: Readonly<Record<VerdictName, number>>;
    /** In order of judgement. */
    readonly rules: readonly RuleRate[];
  };
  readonly requestsPerSecond: number;
  /** 0–1, of the requests that ended lately; undefined when none did. */
  readonly successRate: number | undefined;
}

/** What a pod asks for, and what it gets. */
export interface PodClientSample {
  /** `NAMESPACE/NAME`. */
  readonly name: string;
  readonly node: string;
  readonly targets: readonly {
    readonly name: string;
    /** 0–1, of the requests that ended lately; undefined when none did. */
    readonly successRate: number | undefined;
  }[];
}

/** Something wrong, and the nodes that say so. */
export interface ProblemLine {
  readonly severity: "error" | "warning";
  readonly text: string;
  readonly nodes: readonly string[];
}

/** State of the lab at one moment, for the view. */
export interface LabSample {
  readonly seconds: number;
  readonly nodes: readonly NodeSample[];
  readonly pods: readonly PodClientSample[];
  /** Packets per second put on the wire. */
  readonly attack: Readonly<Record<AttackKind, number>>;
  readonly problems: readonly ProblemLine[];
}

const verdictNames = ["pass", "drop", "redirect", "aborted"] as const;
const rateWindowMs = 1000;
/** Longer than a request may take, so that one which fails shows. */
const requestWindowMs = 5000;

/**
 * @param objects folder that the agents watch; problems name the files in it without it
 * @returns a function that asks all agents once, and gives rates since the last times
 */
export function createSampler(
  agents: readonly NodeAgent[],
  traffic: Traffic,
  objects: string,
): () => Promise<LabSample> {
  const packets = createRates(rateWindowMs);
  const requests = createRates(requestWindowMs);
  const startedAt = performance.now();
  return async () => {
    const answers = await Promise.all(agents.map(ask));
    const now = performance.now();
    recordTraffic(traffic, packets, requests);
    const nodes = answers.map((answer, index): NodeSample => {
      const name = agents[index]?.node.name ?? "";
      return {
        name,
        requestsPerSecond: requests.perSecond(`client/${index}/succeeded`),
        successRate: successRate(requests, `client/${index}`),
        ...(answer === undefined ? {} : { agent: toAgentSample(name, answer, packets, now) }),
      };
    });
    const rate = (kind: AttackKind) => packets.perSecond(kind);
    return {
      seconds: (now - startedAt) / 1000,
      nodes,
      pods: traffic.pods.map(({ name, node, targets }) => ({
        name,
        node,
        targets: targets.map((target, index) => {
          return { name: target, successRate: successRate(requests, `${name}/${index}`) };
        }),
      })),
      attack: {
        udpFlood: rate("udpFlood"),
        synFlood: rate("synFlood"),
        portScan: rate("portScan"),
      },
      problems: collectProblems(agents, answers, objects),
    };
  };
}

function successRate(requests: Rates, key: string): number | undefined {
  const succeeded = requests.growth(`${key}/succeeded`);
  const ended = succeeded + requests.growth(`${key}/failed`);
  return ended === 0 ? undefined : succeeded / ended;
}

interface Answer {
  readonly status: EngineStatus;
  readonly rules: readonly RuleState[];
}

async function ask({ client }: NodeAgent): Promise<Answer | undefined> {
  try {
    const [status, rules, podRules] = await Promise.all([
      client.call("status"),
      client.call("rules"),
      client.call("podRules"),
    ]);
    return { status, rules: [...rules, ...podRules] };
  } catch {
    return undefined;
  }
}

function recordTraffic(traffic: Traffic, packets: Rates, requests: Rates): void {
  const { sent, at: attackAt } = traffic.attack();
  for (const kind of attackKinds) {
    packets.record(
      kind,
      sent[kind].reduce((sum, count) => sum + count, 0),
      attackAt,
    );
  }
  for (const [name, report] of [
    ["client", traffic.client()] as const,
    ...traffic.pods.map((pod) => [pod.name, pod.report()] as const),
  ]) {
    for (const [index, totals] of report.nodes.entries()) {
      requests.record(`${name}/${index}/succeeded`, totals.succeeded, report.at);
      requests.record(`${name}/${index}/failed`, totals.failed, report.at);
    }
  }
}

function toAgentSample(name: string, { status, rules }: Answer, packets: Rates, now: number) {
  const rate = (key: string, total: number) => {
    packets.record(`${name}/${key}`, total, now);
    return packets.perSecond(`${name}/${key}`);
  };
  const verdict = (of: VerdictName) =>
    rate(
      of,
      status.interfaces.reduce((sum, { verdicts }) => sum + verdicts[of].packets, 0),
    );
  const [pass, drop, redirect, aborted] = verdictNames.map(verdict);
  const [uplink] = status.interfaces;
  return {
    mode: uplink?.mode ?? "none",
    ...(uplink?.message === undefined ? {} : { message: uplink.message }),
    verdicts: {
      pass: pass ?? 0,
      drop: drop ?? 0,
      redirect: redirect ?? 0,
      aborted: aborted ?? 0,
    },
    rules: rules.map((state) => ({
      state,
      matched: rate(`${state.policy}/${state.rule}`, state.matched.packets),
      exceeded: rate(`${state.policy}/${state.rule}/exceeded`, state.exceeded.packets),
    })),
  };
}

/** Problems of all agents; the same words of several become one line. */
function collectProblems(
  agents: readonly NodeAgent[],
  answers: readonly (Answer | undefined)[],
  objects: string,
): readonly ProblemLine[] {
  const lines = new Map<string, { severity: ProblemLine["severity"]; nodes: string[] }>();
  const add = (severity: ProblemLine["severity"], text: string, node: string) => {
    const line = lines.get(text) ?? { severity, nodes: [] };
    line.nodes.push(node);
    lines.set(text, line);
  };
  for (const [index, agent] of agents.entries()) {
    const { name } = agent.node;
    const answer = answers[index];
    if (answer === undefined) {
      add("warning", "the agent does not answer; what it put in the kernel stays in force", name);
      continue;
    }
    const { status } = answer;
    if (status.applyError !== undefined) add("error", status.applyError, name);
    for (const { severity, origin, kind, name: object, field, message } of status.problems) {
      const file = origin.source.replace(`${objects}/`, "");
      const place = origin.line === undefined ? file : `${file}:${origin.line}`;
      const subject = [kind, object, field].filter((part) => part !== undefined).join(" ");
      add(severity, `${place}: ${subject === "" ? "" : `${subject}: `}${message}`, name);
    }
  }
  return [...lines].map(([text, line]) => ({ text, ...line }));
}
