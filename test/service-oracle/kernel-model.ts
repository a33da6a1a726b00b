/** The tables as the kernel will have them, and what it will make of a packet: reads rows only. */

import assert from "node:assert/strict";
import { cidrContains } from "../../operator/model/cidr.js";
import { formatCidr } from "../../operator/model/cidr-format.js";
import { readLooseAddress } from "../../operator/model/loose-cidr.js";
import type { Cidr } from "../../operator/model/records.js";
import { formatWords, wordsOf } from "../../operator/compile/service-address.js";
import { CELL_LOCAL, CELL_MASQUERADE, cellShift } from "../../operator/compile/service-rows.js";
import {
  BACKEND_IN_CLUSTER,
  BACKEND_IN_LOCAL,
  BACKEND_PRESENT,
  type BackendRow,
  type FrontendKey,
  type FrontendValue,
  type ServiceRow,
  type ServiceWrite,
} from "../../operator/compile/service-writes.js";
import type { Sender } from "../../operator/compile/service-verdict.js";
import type { Answer, Packet } from "./world.js";

export class KernelModel {
  readonly frontends = new Map<string, FrontendValue>();
  readonly services = new Map<number, ServiceRow>();
  readonly backends = new Map<number, BackendRow>();
  readonly clusterIPs = new Set<string>();
  readonly nodePortAddresses = new Set<string>();
  readonly serviceRanges = new Map<string, Cidr>();
  readonly #sourceSets = new Map<number, Map<string, Cidr>>();
  readonly #lists: number[] = [];
  readonly #maglev: number[] = [];

  apply(writes: readonly ServiceWrite[]): void {
    for (const write of writes) this.write(write);
  }

  write(write: ServiceWrite): void {
    switch (write.table) {
      case "backends":
        setOrDelete(this.backends, write.id, write.value);
        break;
      case "services":
        setOrDelete(this.services, write.id, write.value);
        break;
      case "frontends":
        setOrDelete(this.frontends, frontendText(write.key), write.value);
        break;
      case "lists":
      case "maglev": {
        const words = write.table === "lists" ? this.#lists : this.#maglev;
        for (let at = 0; at < write.ids.length; at++) words[write.start + at] = write.ids[at]!;
        break;
      }
      case "sourceRanges": {
        const ranges = this.#sourceSets.get(write.set) ?? new Map<string, Cidr>();
        const key = formatCidr(write.cidr);
        setOrDelete(ranges, key, write.present ? write.cidr : undefined);
        setOrDelete(this.#sourceSets, write.set, ranges.size > 0 ? ranges : undefined);
        break;
      }
      case "clusterIPs":
        change(this.clusterIPs, formatWords(write.address), write.present);
        break;
      case "nodePortAddresses":
        change(this.nodePortAddresses, formatWords(wordsOf(write.address)), write.present);
        break;
      case "serviceRanges": {
        const key = formatCidr(write.cidr);
        setOrDelete(this.serviceRanges, key, write.present ? write.cidr : undefined);
        break;
      }
    }
  }

  judge(packet: Packet, sender: Sender): Answer {
    const source = addressOf(packet.source);
    const destination = addressOf(packet.destination);
    const to = formatWords(wordsOf(destination));
    const frontend = this.#frontendOf(destination, packet);
    if (frontend === undefined) {
      if (this.clusterIPs.has(to)) return "reject";
      const ranges = [...this.serviceRanges.values()];
      return ranges.some((range) => cidrContains(range, destination)) ? "drop" : "pass";
    }
    const row = this.services.get(frontend.service);
    assert.ok(row !== undefined, `frontend ${to} leads to no service`);
    assert.equal(row.family, destination.family);
    const from = formatWords(wordsOf(source));
    if (frontend.kind === "loadBalancerIP" && row.sourceSet !== 0) {
      const ranges = [...(this.#sourceSets.get(row.sourceSet)?.values() ?? [])];
      const isIn = ranges.some((range) => cidrContains(range, source));
      if (!isIn && !(row.admitsSelf && from === to)) return "drop";
    }
    const cell = row.cells >> cellShift(frontend.kind, sender);
    const isLocal = (cell & CELL_LOCAL) !== 0;
    const ids = this.#listOf(row, isLocal, frontend.service);
    if (frontend.kind !== "clusterIP" && sender === "outside") this.#checkMaglev(row, ids);
    if (ids.length === 0) return row.hasAny ? "drop" : "reject";
    const masquerade = (cell & CELL_MASQUERADE) !== 0;
    return ids.map((id) => {
      const { address, port } = this.backends.get(id)!;
      const text = formatWords(address);
      return `${text}:${port}${masquerade || text === from ? " M" : ""}`;
    });
  }

  #frontendOf(destination: Cidr, { port, protocol }: Packet): FrontendValue | undefined {
    const { family } = destination;
    const key = { family, port, protocol: transportOf(protocol) };
    const exact = this.frontends.get(frontendText({ ...key, address: wordsOf(destination) }));
    if (exact !== undefined) return exact;
    if (!this.nodePortAddresses.has(formatWords(wordsOf(destination)))) return undefined;
    return this.frontends.get(frontendText({ ...key, address: undefined }));
  }

  #listOf(row: ServiceRow, isLocal: boolean, service: number): readonly number[] {
    const start = row.listStart + (isLocal ? row.clusterCount : 0);
    const count = isLocal ? row.localCount : row.clusterCount;
    const ids = this.#lists.slice(start, start + count);
    assert.equal(ids.length, count);
    const flags = BACKEND_PRESENT | (isLocal ? BACKEND_IN_LOCAL : BACKEND_IN_CLUSTER);
    for (const id of ids) {
      const backend = this.backends.get(id);
      assert.ok(backend !== undefined, `list leads to backend ${id}, which is not there`);
      assert.equal(backend.service, service);
      assert.equal(backend.flags & flags, flags, `flags of backend ${id}`);
    }
    return ids;
  }

  #checkMaglev({ maglevStart, maglevSize }: ServiceRow, ids: readonly number[]): void {
    const slots = this.#maglev.slice(maglevStart, maglevStart + maglevSize);
    const order = (one: number, other: number) => one - other;
    assert.deepEqual([...new Set(slots)].sort(order), [...ids].sort(order));
  }
}

export function transportOf(protocol: Packet["protocol"]) {
  return ({ TCP: "tcp", UDP: "udp", SCTP: "sctp" } as const)[protocol];
}

export function addressOf(text: string): Cidr {
  const address = readLooseAddress(text);
  assert.ok(address !== undefined, text);
  return address;
}

function frontendText({ family, address, port, protocol }: FrontendKey): string {
  return `${family} ${address === undefined ? "node" : formatWords(address)} ${port} ${protocol}`;
}

function setOrDelete<K, V>(map: Map<K, V>, key: K, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}

function change<V>(set: Set<V>, value: V, isIn: boolean): void {
  if (isIn) set.add(value);
  else set.delete(value);
}
