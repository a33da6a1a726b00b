import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
  BpfObject,
  bytes,
  PerCpuMap,
  possibleCpus,
  type Program,
  sumCounters,
  u32,
  u64,
  XdpAction,
} from "../datapath/index.js";
import { SluiceError } from "../operator/errors.js";
import type { V6Addresses } from "./addresses.js";
import { makePinFolder } from "./cleanup.js";
import type { Verdicts } from "./sluice.js";

/** Blocks by source and destination address, of IPv4 and IPv6; everything else passes. */
const OBJECT = "xdpfilt_alw_ip.o";
const PROGRAM = "xdpfilt_alw_ip";
/** In the value of an entry: it is a source address. Packets are counted above these bits. */
const SOURCE_FLAG = 1n;
/** What xdp-filter itself makes room for. */
const SHIPPED_ENTRIES = 10_000;

/** The programs of xdp-filter (package xdp-tools) with the addresses written to its tables directly. */
export class XdpFilter {
  readonly program: Program;
  readonly #statistics: PerCpuMap<number, Uint8Array>;
  readonly #removePins: () => void;

  private constructor(
    program: Program,
    statistics: PerCpuMap<number, Uint8Array>,
    removePins: () => void,
  ) {
    this.program = program;
    this.#statistics = statistics;
    this.#removePins = removePins;
  }

  /** @param v4 in host order */
  static async open(blocked: { readonly v4?: Uint32Array; readonly v6?: V6Addresses }) {
    const { v4 = new Uint32Array(), v6 } = blocked;
    const { path, remove } = makePinFolder();
    const object = BpfObject.open(join(objectFolder(), OBJECT));
    try {
      /* The object asks to be pinned where the tool expects it. */
      for (const map of object.maps.values()) {
        if (!map.isGlobals) map.setPinPath(join(path, map.name));
      }
      object.map("filter_ipv4").setMaxEntries(Math.max(SHIPPED_ENTRIES, v4.length));
      object.map("filter_ipv6").setMaxEntries(Math.max(SHIPPED_ENTRIES, v6?.high.length ?? 0));
      await object.load();
      const value = Array<bigint>(possibleCpus()).fill(SOURCE_FLAG);
      fill(new PerCpuMap(object.takeMap("filter_ipv4"), u32, u64), v4Entries(v4, value));
      if (v6 !== undefined) {
        fill(new PerCpuMap(object.takeMap("filter_ipv6"), bytes(16), u64), v6Entries(v6, value));
      }
      const statistics = new PerCpuMap(object.takeMap("xdp_stats_map"), u32, bytes(16));
      return new XdpFilter(object.takeProgram(PROGRAM), statistics, remove);
    } finally {
      object.close();
    }
  }

  verdicts(): Verdicts {
    const sums = sumCounters(this.#statistics);
    const packets = (action: number) => Number(sums[action * 2] ?? 0n);
    return { pass: packets(XdpAction.pass), drop: packets(XdpAction.drop) };
  }

  close(): void {
    this.program.close();
    this.#statistics.close();
    this.#removePins();
  }
}

function fill<K>(
  map: PerCpuMap<K, bigint>,
  entries: Iterable<readonly [K, readonly bigint[]]>,
): void {
  map.updateAll(entries);
  map.close();
}

function* v4Entries(addresses: Uint32Array, value: readonly bigint[]) {
  const bytes = Buffer.alloc(4);
  for (const address of addresses) {
    bytes.writeUInt32BE(address);
    yield [bytes.readUInt32LE(), value] as const;
  }
}

function* v6Entries({ high, low }: V6Addresses, value: readonly bigint[]) {
  for (let i = 0; i < high.length; i++) {
    const key = Buffer.alloc(16);
    key.writeBigUInt64BE(high[i]!, 0);
    key.writeBigUInt64BE(low[i]!, 8);
    yield [key, value] as const;
  }
}

function objectFolder(): string {
  for (const base of ["/usr/lib", "/usr/lib64", "/usr/local/lib"]) {
    if (!existsSync(base)) continue;
    const folders = [base, ...readdirSync(base).map((name) => join(base, name))];
    const found = folders.map((f) => join(f, "bpf")).find((f) => existsSync(join(f, OBJECT)));
    if (found !== undefined) return found;
  }
  throw new SluiceError("SLUICE_OBJECT_MISSING", `xdp-filter's object ${OBJECT} is not installed`, {
    remedy: "Install the package xdp-tools",
  });
}
