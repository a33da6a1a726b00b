import type { ObjectEvent } from "../api/engine.js";
import type {
  NodeRecord,
  ObjectRecord,
  XdpCidrSetRecord,
  XdpPolicyRecord,
} from "../model/records.js";

/** The newest record of each object. */
export class ObjectStore {
  readonly policies = new Map<string, XdpPolicyRecord>();
  readonly cidrSets = new Map<string, XdpCidrSetRecord>();
  readonly nodes = new Map<string, NodeRecord>();

  submit(event: Exclude<ObjectEvent, { type: "synced" }>): void {
    if (event.type === "upsert") {
      this.#put(event.record);
      return;
    }
    this.#of(event.kind).delete(event.name);
  }

  /** Objects that feed a set, by name; empty for a set that nobody feeds. */
  feeding(setName: string): readonly XdpCidrSetRecord[] {
    return [...this.cidrSets.values()].filter((set) => set.setName === setName);
  }

  setNames(): ReadonlySet<string> {
    return new Set([...this.cidrSets.values()].map(({ setName }) => setName));
  }

  #put(record: ObjectRecord): void {
    switch (record.kind) {
      case "XdpPolicy":
        this.policies.set(record.name, record);
        break;
      case "XdpCidrSet":
        this.cidrSets.set(record.name, record);
        break;
      case "Node":
        this.nodes.set(record.name, record);
        break;
    }
  }

  #of(kind: ObjectRecord["kind"]): Map<string, unknown> {
    switch (kind) {
      case "XdpPolicy":
        return this.policies;
      case "XdpCidrSet":
        return this.cidrSets;
      case "Node":
        return this.nodes;
    }
  }
}
