import { Limits } from "../../datapath/generated/layout.js";
import { interfaceByName, possibleCpus } from "../../datapath/index.js";
import { CapacityError } from "../compile/capacity-error.js";
import type { CompiledRule } from "../compile/rule-list.js";
import type { Bank } from "./bank.js";

const CPU_QUEUE_PACKETS = 2048;
const CPUS_PER_HALF = Limits.MAX_CPU_TARGETS / 2;
const PORTS_PER_HALF = Limits.MAX_TX_PORTS / 2;
const SOCKET_MAPS = Limits.MAX_SOCKETS / Limits.SOCKET_QUEUES;

/**
 * Rows that redirecting rules point to. CPU and port targets come in halves like the rules; socket maps are places
 * in one pinned map that users' programs fill, so a name keeps its place for good.
 */
export class RedirectTargets {
  readonly #datapath: Bank;
  readonly #socketMaps: Map<string, number>;
  readonly #saveSocketMaps: (places: ReadonlyMap<string, number>) => void;
  readonly #findInterface: (name: string) => number | undefined;
  readonly #first = new Map<string, number>();
  #nextCpu = 0;
  #nextPort = 0;

  constructor(
    datapath: Bank,
    socketMaps: ReadonlyMap<string, number>,
    saveSocketMaps: (places: ReadonlyMap<string, number>) => void,
    findInterface = (name: string): number | undefined => interfaceByName(name)?.index,
  ) {
    this.#datapath = datapath;
    this.#socketMaps = new Map(socketMaps);
    this.#saveSocketMaps = saveSocketMaps;
    this.#findInterface = findInterface;
  }

  /** Place of a socket map by name: key of queue q is place × SOCKET_QUEUES + q. */
  socketMaps(): ReadonlyMap<string, number> {
    return this.#socketMaps;
  }

  /** Interfaces that rules redirect to, by what their names stand for now: they come and go while rules stay. */
  interfaces(rules: readonly CompiledRule[]): readonly (number | null)[] {
    return rules.flatMap(({ redirect }) =>
      redirect?.kind === "interface" ? [this.#findInterface(redirect.name) ?? null] : [],
    );
  }

  /** Forgets the rows of a half, before its rules are written. */
  begin(): void {
    this.#first.clear();
    this.#nextCpu = 0;
    this.#nextPort = 0;
  }

  /**
   * First row and number of rows of a rule's target, written if needed. An interface or a CPU that does not exist
   * leads nowhere: its packets are dropped with reason `redirect`.
   *
   * @throws CapacityError
   */
  indexOf(half: 0 | 1, rule: CompiledRule): { readonly first: number; readonly count: number } {
    const target = rule.redirect;
    if (target === undefined) return { first: 0, count: 0 };
    if (target.kind === "socketMap") {
      return { first: this.#socketPlace(target.name, rule) * Limits.SOCKET_QUEUES, count: 0 };
    }
    const count = target.kind === "cpus" ? target.cpus.length : 1;
    const key = JSON.stringify(target);
    let first = this.#first.get(key);
    if (first === undefined) {
      first =
        target.kind === "cpus"
          ? this.#writeCpus(half, target.cpus, rule)
          : this.#writePort(half, target.name, rule);
      this.#first.set(key, first);
    }
    return { first, count };
  }

  #writeCpus(half: 0 | 1, cpus: readonly number[], { policy }: CompiledRule): number {
    const first = half * CPUS_PER_HALF + this.#nextCpu;
    this.#nextCpu += cpus.length;
    if (this.#nextCpu > CPUS_PER_HALF) {
      throw new CapacityError("CPU targets", CPUS_PER_HALF, "the Redirect rules need more", policy);
    }
    const { cpuTargets, cpus: cpuMap } = this.#datapath;
    const words = cpuTargets.stride / 4;
    cpus.forEach((cpu, index) => {
      if (hasCpu(cpu) && cpuMap.lookup(cpu)?.qsize !== CPU_QUEUE_PACKETS) {
        cpuMap.update(cpu, { qsize: CPU_QUEUE_PACKETS, bpfProg: 0 });
      }
      cpuTargets.u32[(first + index) * words] = cpu;
    });
    return first;
  }

  #writePort(half: 0 | 1, name: string, { policy }: CompiledRule): number {
    if (this.#nextPort >= PORTS_PER_HALF) {
      throw new CapacityError(
        "port targets",
        PORTS_PER_HALF,
        "the Redirect rules need more",
        policy,
      );
    }
    const row = half * PORTS_PER_HALF + this.#nextPort++;
    const index = this.#findInterface(name);
    if (index === undefined) this.#datapath.txPorts.delete(row);
    else this.#datapath.txPorts.update(row, index);
    return row;
  }

  #socketPlace(name: string, { policy }: CompiledRule): number {
    const known = this.#socketMaps.get(name);
    if (known !== undefined) return known;
    const place = this.#socketMaps.size;
    if (place >= SOCKET_MAPS) {
      throw new CapacityError("socket maps", SOCKET_MAPS, `${name} is one more`, policy);
    }
    this.#socketMaps.set(name, place);
    this.#saveSocketMaps(this.#socketMaps);
    return place;
  }
}

/** Policies name CPUs for many nodes, and not every node has all of them. */
export function hasCpu(cpu: number): boolean {
  return cpu < Math.min(possibleCpus(), Limits.MAX_CPUS);
}
