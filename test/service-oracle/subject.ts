/** The compiler and the rows it writes, as what the oracle is compared with. */

import assert from "node:assert/strict";
import { ServiceCompiler, type ServiceUpdate } from "../../operator/compile/service-compiler.js";
import type { ServiceCapacity } from "../../operator/compile/service-capacity.js";
import type { ServicePlace } from "../../operator/compile/service-place.js";
import { cidrContains } from "../../operator/model/cidr.js";
import { Interner } from "../../operator/model/interner.js";
import { readLooseCidr } from "../../operator/model/loose-cidr.js";
import { projectClusterObject } from "../../operator/model/project-cluster.js";
import type { Cidr } from "../../operator/model/records.js";
import type { EndpointSliceRecord, ServiceRecord } from "../../operator/model/records-service.js";
import type { Sender } from "../../operator/compile/service-verdict.js";
import { addressOf, KernelModel } from "./kernel-model.js";
import type { Answer, NodeSetup, Packet, World } from "./world.js";

export const PLENTY: ServiceCapacity = {
  services: 4096,
  frontends: 4096,
  clusterIPs: 4096,
  backends: 8192,
  lists: 16_384,
  maglev: 1 << 21,
  sourceRanges: 4096,
};

const interner = new Interner();
const origin = { source: "test" };

export function placeOf(node: NodeSetup): ServicePlace {
  const blocks = (texts: readonly string[]) => texts.map(blockOf);
  return {
    name: node.name,
    zone: node.zone,
    knowsPods: node.knowsPods,
    masqueradeAll: node.masqueradeAll,
    ownAddresses: node.ownAddresses.map(addressOf),
    nodePortAddresses: node.nodePortAddresses.map(addressOf),
    guard: {
      podRanges: blocks(node.podRanges),
      serviceRanges: blocks(node.serviceRanges),
      nodeAddresses: node.nodeAddresses.map(addressOf),
      allowed: node.allowedExternalIPs && blocks(node.allowedExternalIPs),
    },
  };
}

function blockOf(text: string): Cidr {
  const block = readLooseCidr(text);
  assert.ok(block !== undefined, text);
  return block;
}

/** Takes worlds one after the other, as changes of the one before. */
export class CompiledServices {
  readonly kernel = new KernelModel();
  readonly compiler: ServiceCompiler;
  #world: World;
  readonly #drafts = new WeakMap<object, ServiceRecord | EndpointSliceRecord>();

  constructor(world: World, capacity = PLENTY) {
    this.#world = { ...world, services: [], slices: [] };
    this.compiler = new ServiceCompiler(capacity, placeOf(world.node));
    this.load(world);
  }

  /** @param most Services in one update */
  load(world: World, most?: number): void {
    let update = this.change(world, most);
    for (;;) {
      this.kernel.apply(update.writes);
      this.kernel.apply(this.compiler.reclaim(update.retired));
      if (update.waiting === 0) return;
      update = this.compiler.update(most);
    }
  }

  /** The update that leads to a world; not written yet. */
  change(world: World, most?: number): ServiceUpdate {
    const { index } = this.compiler;
    const before = this.#world;
    this.#world = world;
    this.compiler.setPlace(placeOf(world.node));
    const services = byKey(world.services);
    for (const key of new Set([...services.keys(), ...byKey(before.services).keys()])) {
      const manifest = services.get(key);
      index.setService(key, manifest && (this.#draft("Service", manifest) as ServiceRecord));
    }
    const slices = byKey(world.slices);
    for (const key of new Set([...slices.keys(), ...byKey(before.slices).keys()])) {
      const manifest = slices.get(key);
      index.setSlice(
        key,
        manifest && (this.#draft("EndpointSlice", manifest) as EndpointSliceRecord),
      );
    }
    return this.compiler.update(most);
  }

  judge(packet: Packet): Answer {
    const answer = this.kernel.judge(packet, this.#senderOf(addressOf(packet.source)));
    return typeof answer === "string" ? answer : answer.toSorted();
  }

  #senderOf(source: Cidr): Sender {
    const { ownAddresses, knowsPods, guard } = placeOf(this.#world.node);
    if (ownAddresses.some((own) => cidrContains(own, source))) return "node";
    const isPod = knowsPods && guard.podRanges.some((range) => cidrContains(range, source));
    return isPod ? "pod" : "outside";
  }

  #draft(kind: "Service" | "EndpointSlice", manifest: object): ServiceRecord | EndpointSliceRecord {
    const known = this.#drafts.get(manifest);
    if (known !== undefined) return known;
    const { draft, problems } = projectClusterObject(kind, manifest, origin, interner);
    assert.ok(draft !== undefined, JSON.stringify(problems));
    const record = { ...draft, origin };
    this.#drafts.set(manifest, record);
    return record;
  }
}

function byKey<
  O extends { readonly metadata: { readonly namespace: string; readonly name: string } },
>(objects: readonly O[]): ReadonlyMap<string, O> {
  return new Map(objects.map((one) => [`${one.metadata.namespace}/${one.metadata.name}`, one]));
}
