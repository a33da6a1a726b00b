import type { Program } from "../../datapath/index.js";
import type { CidrList, Peer, RuleRecord } from "../../operator/model/records.js";
import { limit, policy, rule } from "../../test/oracle/build.js";
import type { V6Addresses } from "../addresses.js";
import { loopback, setRecord, Sluice, type Verdicts, type World } from "../sluice.js";
import { XdpFilter } from "../xdp-filter.js";

/** A program with its tables filled. */
export interface Subject {
  readonly program: Program;
  /** Packets so far; undefined when it does not count. */
  readonly verdicts?: () => Verdicts;
  readonly close?: () => void | Promise<void>;
}

export type OpenSubject = () => Promise<Subject>;

/** Opens at the first call, and gives the same subject ever after. */
export function shared(open: OpenSubject): OpenSubject {
  let opened: Promise<Subject> | undefined;
  return () => (opened ??= open());
}

export function sluice(world: World): OpenSubject {
  return shared(async () => {
    const firewall = await Sluice.open();
    firewall.judge(loopback);
    await firewall.apply(world);
    return {
      program: firewall.program,
      verdicts: () => firewall.verdicts(),
      close: () => firewall.close(),
    };
  });
}

export function xdpFilter(blocked: Parameters<typeof XdpFilter.open>[0]): OpenSubject {
  return shared(async () => {
    const filter = await XdpFilter.open(blocked);
    return {
      program: filter.program,
      verdicts: () => filter.verdicts(),
      close: () => filter.close(),
    };
  });
}

const SET = "blocked";
const FROM_SET: readonly Peer[] = [{ kind: "cidrSet", setName: SET }];
const NO_V6: V6Addresses = { high: new BigUint64Array(), low: new BigUint64Array() };

/** One policy that drops what comes from a set of single addresses. */
export function blockingWorld(v4: Uint32Array, v6: V6Addresses = NO_V6): World {
  const drop = rule("drop-blocked", "Drop", { from: FROM_SET });
  return { policies: [policy("edge", [drop])], sets: [setRecord(SET, hostList(v4, v6))] };
}

function hostList(v4: Uint32Array, { high, low }: V6Addresses = NO_V6): CidrList {
  return {
    v4: { address: v4, length: new Uint8Array(v4.length).fill(32), expiresAt: undefined },
    v6: { high, low, length: new Uint8Array(high.length).fill(128), expiresAt: undefined },
  };
}

/** As many as one policy may have. */
const POLICY_RULES = 1000;
const FIRST_PORT = 10_000;

/** TCP port of a rule of {@link ruleWorld}. */
export function portOfRule(index: number): number {
  return FIRST_PORT + index;
}

/** One rule per /24: each drops TCP from there to a port of its own. */
export function ruleWorld(prefixes: Uint32Array): World {
  const rules = Array.from(prefixes, (address, index): RuleRecord => {
    const port = portOfRule(index);
    return rule(`rule-${index}`, "Drop", {
      from: [{ kind: "cidr", cidr: { family: 4, address, length: 24 }, except: [] }],
      protocols: [{ kind: "tcp", destinationPort: { start: port, end: port } }],
    });
  });
  const policies = [];
  for (let first = 0; first < rules.length; first += POLICY_RULES) {
    policies.push(policy(`p-${first}`, rules.slice(first, first + POLICY_RULES)));
  }
  return { policies };
}

/** Every source may send `rate` packets per second, and twice as many at once. */
export function limitWorld(rate: number): World {
  const action = limit({ rate, burst: 2 * rate, per: "SourceAddress" });
  return { policies: [policy("edge", [rule("limit", action)])] };
}
