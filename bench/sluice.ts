import { Limits } from "../datapath/generated/layout.js";
import { GracePeriod, type IfIndex, ifIndex, type Program } from "../datapath/index.js";
import { readOutcomes } from "../operator/apply/counters.js";
import { type Datapath, openDatapath } from "../operator/apply/datapath.js";
import { compileDesired, SetContentCache } from "../operator/apply/desired.js";
import { defaultFailSafe } from "../operator/apply/fail-safe.js";
import { type DesiredFirewall, Firewall } from "../operator/apply/firewall.js";
import { ObjectStore } from "../operator/apply/object-store.js";
import { RedirectTargets } from "../operator/apply/redirect-targets.js";
import { RuleSlots } from "../operator/apply/rule-slots.js";
import type {
  CidrList,
  RuleRecord,
  XdpCidrSetRecord,
  XdpPolicyRecord,
} from "../operator/model/records.js";
import { makePinFolder } from "./cleanup.js";

/** What one firewall is to enforce on its one interface. */
export interface World {
  readonly policies: readonly XdpPolicyRecord[];
  readonly sets?: readonly XdpCidrSetRecord[];
  /** Default: the agent's own, for a node with one resolver. */
  readonly failSafe?: readonly RuleRecord[];
}

/** Packets by verdict since the load. */
export interface Verdicts {
  readonly pass: number;
  readonly drop: number;
}

const SLOT = 1;
const INTERFACE = "eth0";
/** Agents take it from resolv.conf; rows must not depend on where the bench runs. */
const RESOLVER = "198.51.100.53";

export const agentFailSafe = defaultFailSafe({ resolvers: [RESOLVER], apiServers: [] });

/** The product's own programs, tables and compiler, without an agent around them. */
export class Sluice {
  readonly datapath: Datapath;
  readonly #removePins: () => void;
  readonly #grace = new GracePeriod();
  readonly #cache = new SetContentCache();
  readonly #firewall: Firewall;

  private constructor(datapath: Datapath, removePins: () => void) {
    this.datapath = datapath;
    this.#removePins = removePins;
    const slots = new RuleSlots(datapath, () => undefined);
    const targets = new RedirectTargets(datapath, new Map(), () => undefined);
    this.#firewall = new Firewall(datapath, this.#grace, slots, targets);
  }

  /** With tables of the sizes that an agent gives them by default. */
  static async open(): Promise<Sluice> {
    const { path, remove } = makePinFolder();
    const addressLines = Limits.MAX_ADDRESS_LINES;
    return new Sluice(await openDatapath({ pinRoot: path, addressLines, metadata: false }), remove);
  }

  get program(): Program {
    return this.datapath.uplink;
  }

  /** Lets packets of this interface be judged by the rules. */
  judge(index: IfIndex): void {
    const { interfaces } = this.datapath;
    interfaces.u32[(index * interfaces.stride) / 4] = SLOT;
  }

  /** What the agent would put in force. Sets whose records were seen before are not read again. */
  compile(world: World): DesiredFirewall {
    const store = new ObjectStore();
    for (const record of world.sets ?? []) store.submit({ type: "upsert", record });
    return compileDesired(
      {
        nodeLabels: {},
        present: [{ name: INTERFACE, index: SLOT, uplink: true }],
        slotOf: (index) => index,
        policies: world.policies,
        store,
        failSafe: world.failSafe ?? agentFailSafe,
        nodeLocal: [],
        passUnparsable: false,
        eventsPerSecond: 0,
        nowMs: 0,
      },
      this.#cache,
    ).firewall;
  }

  /** In force when it resolves, and in order again once `settle` is through. */
  async change(desired: DesiredFirewall): Promise<void> {
    await this.#firewall.change(desired);
  }

  async settle(): Promise<void> {
    await this.#firewall.settle();
  }

  async apply(world: World): Promise<void> {
    await this.change(this.compile(world));
    await this.settle();
  }

  verdicts(): Verdicts {
    const { pass, drop } = readOutcomes(this.datapath).verdicts(SLOT);
    return { pass: pass.packets, drop: drop.packets };
  }

  async close(): Promise<void> {
    await this.#firewall.settle();
    this.#grace.close();
    this.datapath.close();
    this.#removePins();
  }
}

/** The test runner names an interface of this namespace; only the loopback is sure to exist. */
export const loopback = ifIndex(1);

export function setRecord(name: string, entries: CidrList): XdpCidrSetRecord {
  const origin = { source: "bench" };
  return { kind: "XdpCidrSet", name, origin, generation: 1, setName: name, entries };
}
