import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Problem } from "../../operator/model/records.js";
import {
  ManifestFolder,
  type ManifestFolderOptions,
} from "../../operator/source/manifest-folder.js";
import type { ObjectEvent, SourceRecord } from "../../operator/source/source.js";

const DEADLINE_MS = 10_000;

/** YAML of a policy without rules. */
export function policy(name: string, priority: number): string {
  return `apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: ${name}}
spec:
  priority: ${priority}
`;
}

/** JSON of a set. */
export function cidrSet(name: string, ...cidrs: readonly string[]): string {
  return JSON.stringify({
    apiVersion: "sluice.dev/v1alpha1",
    kind: "XdpCidrSet",
    metadata: { name },
    spec: { cidrs },
  });
}

/** A folder of manifests of its own, a source on it, and what that has told so far. */
export class ObservedFolder {
  readonly path = mkdtempSync(join(tmpdir(), "slt-manifests-"));
  readonly events: ObjectEvent[] = [];
  /** By `KIND/NAME`, or `KIND/NAMESPACE/NAME`. */
  readonly objects = new Map<string, SourceRecord>();
  problems: readonly Problem[] = [];
  #source: ManifestFolder | undefined;

  constructor() {
    // A test may read it as another user.
    chmodSync(this.path, 0o755);
  }

  /** Path of a file in the folder. */
  at(name: string): string {
    return join(this.path, name);
  }

  write(name: string, text: string): void {
    writeFileSync(this.at(name), text);
  }

  async start(options: ManifestFolderOptions = {}): Promise<void> {
    this.#source = new ManifestFolder(this.path, { settleMs: 30, ...options });
    await this.#source.start((event) => this.#take(event));
  }

  #take(event: ObjectEvent): void {
    this.events.push(event);
    if (event.type === "upsert") {
      this.objects.set(keyOf(event.record), event.record);
    } else if (event.type === "delete") {
      assert.ok(this.objects.delete(keyOf(event)), "delete of an unknown object");
    } else if (event.type === "problems") {
      this.problems = event.problems;
    }
  }

  async close(): Promise<void> {
    await this.#source?.close();
  }

  /** Closes the source and removes the folder. */
  async remove(): Promise<void> {
    await this.close();
    rmSync(this.path, { recursive: true, force: true });
  }

  /** Generations of the policies in force, by name. */
  policies(): Record<string, number> {
    const records = [...this.objects.values()].filter((record) => record.kind === "XdpPolicy");
    return Object.fromEntries(records.map(({ name, generation }) => [name, generation]));
  }

  /** Priority of a policy in force. */
  priorityOf(name: string): number | undefined {
    const record = this.objects.get(`XdpPolicy/${name}`);
    return record?.kind === "XdpPolicy" ? record.priority : undefined;
  }

  codes(): readonly string[] {
    return this.problems.map(({ code }) => code);
  }

  /** Waits for a state, and fails when it does not come about. */
  async until(what: string, isSo: () => boolean): Promise<void> {
    const endMs = Date.now() + DEADLINE_MS;
    while (!isSo()) {
      const state = JSON.stringify([this.policies(), this.problems]);
      assert.ok(Date.now() < endMs, `waited in vain for ${what}; now ${state}`);
      await sleep(5);
    }
  }
}

function keyOf(of: { readonly kind: string; readonly namespace?: string; readonly name: string }) {
  return [of.kind, ...(of.namespace === undefined ? [] : [of.namespace]), of.name].join("/");
}
