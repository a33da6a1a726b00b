import { totalmem } from "node:os";
import type pino from "pino";
import { closeFd, GracePeriod, linkByName } from "../../datapath/index.js";
import type { EventState, PodNetworkState, PodPolicyState, RuleState } from "../api/engine.js";
import { SluiceError } from "../errors.js";
import type { Problem } from "../model/records.js";
import { clearRuleSlot } from "./counters.js";
import { Firewall } from "./firewall.js";
import { flowsForMemory } from "./flow-size.js";
import { type LocalEntry, localPodOf, LocalPodTable } from "./local-pod-table.js";
import { NodeEdge } from "./node-edge.js";
import { openPodDatapath, type PodDatapath } from "./pod-datapath.js";
import { PodFlows } from "./pod-flows.js";
import type { PodLink } from "./pod-link.js";
import { type PodObjectEvent, PodObjects } from "./pod-objects.js";
import { noPod } from "./pod-places.js";
import { capturePodEvents } from "./pod-events.js";
import { PodPolicies } from "./pod-policies.js";
import { describePodPolicies, warningsOf } from "./pod-policy-report.js";
import { PodPrograms } from "./pod-programs.js";
import { describePodNetwork, describePodRules, type PodPicture } from "./pod-report.js";
import type { PodRange } from "./pod-routes.js";
import { PodRuleWriter } from "./pod-rule-writer.js";
import { PodTables } from "./pod-tables.js";
import type { PodTracing } from "./pod-tracer.js";
import { RedirectTargets } from "./redirect-targets.js";
import { RuleSlots } from "./rule-slots.js";
import { WakeUp } from "./wake-up.js";

/** Changes within this time are applied together. */
const COALESCE_MS = 20;
/** What failed is tried again this often. */
const RETRY_MS = 10_000;
/** How often the node's own addresses are looked at: nobody tells when they change. */
const OWN_ADDRESSES_MS = 10_000;
/** Without a pod that comes or goes for so long, the node is quiet. */
const QUIET_MS = 5000;
/** How long a pod's record may be behind the runtime that attaches the pod. */
const RECORD_MS = 10_000;
/** Both halves together hold the addresses of about 100,000 pods. */
const ADDRESS_LINES = 131_072;

export interface PodNetworkOptions {
  readonly nodeName: string;
  /** Folder in a bpffs; one per agent. */
  readonly pinRoot: string;
  /** MAC of the node's end of every pod's veth. */
  readonly gatewayMac: string;
  /** Places in the table of flows; undefined: by the machine's memory. */
  readonly flows?: number | undefined;
  /** Globs of the interfaces that packets for pods arrive at; empty: what default routes lead to. */
  readonly uplinks: readonly string[];
  /** Called after each application that succeeded. */
  readonly onApplied?: () => void;
  /** Of events on one CPU, in the kernel. */
  readonly eventsPerSecond: number;
  /** How long no pod may have come or gone before programs are moved to links; default 5 s. */
  readonly quietMs?: number;
  /** Called with what policies refuse, or in audit mode would. */
  readonly onEvent: (event: EventState) => void;
}

/** @throws SluiceError as `openPodDatapath` */
export async function openPodNetwork(
  options: PodNetworkOptions,
  log: pino.Logger,
): Promise<PodNetwork> {
  const { pinRoot } = options;
  const datapath = await openPodDatapath({
    pinRoot,
    addressLines: ADDRESS_LINES,
    flows: options.flows ?? flowsForMemory(totalmem(), process.constrainedMemory()),
  });
  try {
    return new PodNetwork(datapath, options, log);
  } catch (error) {
    closeFd(datapath.eventsFd);
    datapath.close();
    throw error;
  }
}

/**
 * What judges the packets of this node's pods: their rows, their programs and the policies in the pods' bank. Nothing is
 * written but rows before the first `synced`: until then what an earlier agent left judges on.
 */
export class PodNetwork {
  readonly #options: PodNetworkOptions;
  readonly #log: pino.Logger;
  readonly #datapath: PodDatapath;
  readonly #grace = new GracePeriod();
  readonly #slots: RuleSlots;
  readonly #firewall: Firewall;
  readonly #programs: PodPrograms;
  readonly #writer: PodRuleWriter;
  readonly #tables: PodTables;
  readonly #flows: PodFlows;
  readonly #edge: NodeEdge;
  readonly #objects = new PodObjects();
  readonly #local = new LocalPodTable(this.#objects);
  readonly #policies = new PodPolicies();
  readonly #ending = new AbortController();
  #isClosed = false;
  #isSynced = false;
  #inSync = false;
  #applyError: string | undefined;
  readonly #timer = new WakeUp(() => this.#applyNow());
  readonly #addressTimer: NodeJS.Timeout;
  readonly #stopEvents: () => void;
  #running: Promise<void> = Promise.resolve();
  /** The application that has not begun yet. */
  #next: Promise<void> | undefined;

  constructor(datapath: PodDatapath, options: PodNetworkOptions, log: pino.Logger) {
    this.#options = options;
    this.#log = log.child({ component: "pods" });
    this.#datapath = datapath;
    this.#slots = new RuleSlots(datapath, (slot) => clearRuleSlot(datapath, slot));
    const targets = new RedirectTargets(datapath, new Map(), () => undefined);
    this.#firewall = new Firewall(datapath, this.#grace, this.#slots, targets);
    this.#writer = new PodRuleWriter(this.#firewall, options.eventsPerSecond);
    const { pinRoot, quietMs = QUIET_MS } = options;
    this.#programs = new PodPrograms(datapath, pinRoot, this.#log, quietMs);
    this.#tables = new PodTables(datapath, this.#programs, options.gatewayMac);
    this.#flows = new PodFlows(datapath, pinRoot, this.#slots, this.#log);
    this.#edge = new NodeEdge(datapath, options, this.#log);
    this.#addressTimer = setInterval(() => {
      if (this.#inSync) this.#edge.followInterfaces();
      if (this.#edge.hasOtherAddresses(this.#ownNode())) this.#wake(COALESCE_MS);
      void this.#programs.look();
    }, OWN_ADDRESSES_MS);
    this.#addressTimer.unref();
    const flows = datapath.flows.info.maxEntries;
    this.#log.info({ adopted: datapath.adopted, flows }, "pods' datapath loaded");
    this.#stopEvents = capturePodEvents(() => this.#picture(), options.onEvent);
  }

  /** Level-triggered: the newest record of a name wins; applying is coalesced. */
  submit(event: PodObjectEvent | { readonly type: "synced" }): void {
    if (event.type === "synced") {
      this.#isSynced = true;
      this.#wake(COALESCE_MS);
      return;
    }
    const { matters, pod } = this.#objects.submit(event);
    if (pod !== undefined) this.#local.podChanged(pod);
    if (matters) this.#wake(COALESCE_MS);
  }

  /** Why no pod can be attached yet; undefined when one can. */
  notReady(): string | undefined {
    return this.#inSync ? undefined : "the policies of pods are not in the kernel yet";
  }

  /**
   * Resolves when the pod is judged by its policies. A pod that an earlier agent attached is judged on as it was until
   * the next application; for another one its record is waited for. Before the source was read, which is when there are
   * only pods of earlier agents, one whose rows are lost is closed.
   *
   * @throws SluiceError SLUICE_NO_POD when its record does not come; SLUICE_NOT_IN_FORCE, SLUICE_CAPACITY
   */
  async attach(link: PodLink): Promise<void> {
    const found = linkByName(link.hostName);
    if (found === undefined) {
      throw new SluiceError("SLUICE_NO_INTERFACE", `there is no interface ${link.hostName}`);
    }
    const { place, found: where } = this.#tables.take(link, found.index);
    const entry = this.#local.add(link, place);
    if (where !== "new" || !this.#isSynced) {
      /* The programs of another layout judge by its tables until those of this one are filled. */
      if (where !== "other-layout" && !this.#flows.isCarrying) this.#connect(entry);
      this.#wake(COALESCE_MS);
      if (entry.error !== undefined) throw entry.error;
      return;
    }
    const { signal } = this.#ending;
    if ((await this.#objects.wait(link.pod, RECORD_MS, signal)) === undefined) {
      throw noPod(link, RECORD_MS);
    }
    await this.#applyNow();
    if (entry.error !== undefined) throw entry.error;
    if (entry.isInForce && entry.isConnected) return;
    throw new SluiceError("SLUICE_NOT_IN_FORCE", this.#applyError ?? "the source is not in sync");
  }

  async detach(link: PodLink): Promise<void> {
    const { hostName } = link;
    if (this.#inSync && link.ports !== undefined) {
      const others = [...this.#local.entries.values()].map((entry) => entry.link);
      this.#edge.writeAddresses(others.filter((other) => other.hostName !== hostName));
    }
    this.#tables.release(link, this.#local.entries.get(hostName)?.place.index);
    this.#local.remove(hostName);
    this.#wake(COALESCE_MS);
    await Promise.resolve();
  }

  async check(link: PodLink): Promise<string | undefined> {
    const entry = this.#local.entries.get(link.hostName);
    if (entry === undefined) return "it is not among the pods that are judged";
    const difference = this.#tables.check(link, entry.place);
    if (difference !== undefined) return `${difference} is missing`;
    return entry.isInForce ? undefined : "its policy is not in the kernel";
  }

  problems(): readonly Problem[] {
    const warnings = this.#writer.blocks.flatMap(warningsOf);
    return [...this.#policies.problems(), ...warnings];
  }

  state(): Omit<PodNetworkState, "pools"> {
    const inSync = this.#inSync;
    const applyError = this.#applyError;
    return {
      inSync,
      ...(applyError !== undefined && { applyError }),
      ...describePodNetwork(this.#picture()),
    };
  }

  /** In order of judgement. */
  rules(): readonly RuleState[] {
    return describePodRules(this.#picture());
  }

  /** @param problems of the source */
  policies(problems: readonly Problem[]): readonly PodPolicyState[] {
    return describePodPolicies({
      newest: this.#objects.policies,
      inForce: this.#policies.inForce,
      blocks: this.#writer.blocks,
      problems: [...problems, ...this.#policies.problems()],
      applyError: this.#applyError,
    });
  }

  /** What traces of its pods' packets need. */
  tracing(): PodTracing {
    const { nodeName, gatewayMac } = this.#options;
    const { nodes } = this.#objects;
    const { ownAddresses } = this.#edge;
    const around = { nodeName, nodes, local: this.#local, ownAddresses };
    return { ...this.#picture(), around, gatewayMac };
  }

  #picture(): PodPicture {
    return {
      datapath: this.#datapath,
      firewall: this.#firewall,
      slots: this.#slots,
      local: this.#local,
      rules: this.#writer.rules,
      usedSlots: this.#tables.usedSlots,
      flows: this.#flows,
      programs: this.#programs,
      applyError: this.#applyError,
    };
  }

  /**
   * Where the pods of other nodes are: all of their ranges.
   *
   * @throws SluiceError SLUICE_MAP_FULL
   */
  setPodRanges(ranges: readonly PodRange[]): void {
    this.#edge.podRoutes.set(ranges);
    if (this.#inSync) this.#edge.followInterfaces();
  }

  /** Waits for no record any more: what is being attached fails, and is tried again with the next agent. */
  end(): void {
    this.#ending.abort();
  }

  /** Gives descriptors up; links, pins and tables stay in force. */
  async close(): Promise<void> {
    this.#ending.abort();
    this.#isClosed = true;
    this.#timer.cancel();
    clearInterval(this.#addressTimer);
    await this.#running;
    await this.#programs.close();
    this.#edge.close();
    await this.#firewall.settle();
    await this.#flows.close();
    this.#grace.close();
    this.#stopEvents();
    this.#datapath.close();
  }

  #wake(inMs: number): void {
    if (!this.#isClosed && this.#isSynced) this.#timer.in(inMs);
  }

  /** One application at a time; whoever asks before it has begun shares it. */
  #applyNow(): Promise<void> {
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      return this.#apply();
    });
    this.#running = this.#next;
    return this.#next;
  }

  async #apply(): Promise<void> {
    if (this.#isClosed || !this.#isSynced) return;
    try {
      await this.#reconcile();
      this.#inSync = true;
      this.#applyError = undefined;
    } catch (error) {
      this.#applyError = error instanceof Error ? error.message : String(error);
      this.#log.error({ err: error }, "the pods' tables could not be brought to the wanted state");
      this.#wake(RETRY_MS);
      return;
    }
    this.#options.onApplied?.();
  }

  async #reconcile(): Promise<void> {
    const entries = [...this.#local.entries.values()];
    const subjects = this.#local.subjects();
    const candidates = this.#policies.begin(this.#objects.policies);
    this.#edge.lookAtAddresses(this.#ownNode());
    const { nodes, namespaces } = this.#objects;
    await this.#writer.put(
      {
        localPods: subjects.map(localPodOf),
        pods: this.#local.pods,
        changedPods: this.#local.takeChanged(),
        namespaces,
        nodes: [...nodes.values()],
        ownAddresses: this.#edge.ownAddresses,
      },
      candidates,
    );
    candidates.commit();
    for (const entry of subjects) entry.isInForce = true;
    this.#edge.writeAddresses([...this.#local.entries.values()].map(({ link }) => link));
    await this.#flows.carryOver(() => {
      for (const entry of entries) {
        const isThere = this.#local.entries.get(entry.link.hostName) === entry;
        if (isThere && !entry.isConnected) this.#connect(entry);
      }
      /* Their program judges by these tables, so they are filled before. */
      if (this.#flows.isCarrying) this.#edge.followInterfaces();
      else this.#edge.followInterfacesSoon();
      return [...this.#local.entries.values()].every(({ isConnected }) => isConnected);
    });
  }

  #ownNode() {
    return this.#objects.nodes.get(this.#options.nodeName);
  }

  /** One that cannot be connected keeps no other from it. */
  #connect(entry: LocalEntry): void {
    const { hostName } = entry.link;
    try {
      this.#tables.connect(entry.link, entry.place);
      entry.isConnected = true;
      entry.error = undefined;
    } catch (error) {
      entry.error = error instanceof Error ? error : new Error(String(error));
      this.#log.error({ err: error, interface: hostName }, "a pod could not be connected");
    }
  }
}
