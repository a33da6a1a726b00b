import { isDeepStrictEqual } from "node:util";
import type pino from "pino";
import { type KubeClient, patchTypes } from "../kube/client.js";
import { KubeError } from "../kube/errors.js";
import { backOffMs } from "../kube/pace.js";
import type { Clock } from "./clock.js";
import type { NodeStatus } from "./describe-node.js";

export const AGENT_FIELD_MANAGER = "sluice-agent";

/** Between two writes of one node. */
const MIN_INTERVAL_MS = 10_000;
/** An unchanged status is applied again: heals an object that was deleted or edited. Costs etcd no write. */
const REAPPLY_MS = 300_000;

export interface NodeWriterOptions {
  readonly client: KubeClient;
  readonly node: string;
  /** How many nodes there are now: their writes are spread, for one policy changes all of them. */
  readonly nodeCount: () => number;
  readonly clock: Clock;
  readonly log: pino.Logger;
}

interface Written {
  readonly metadata: {
    readonly uid: string;
    readonly ownerReferences?: readonly { readonly uid: string }[];
  };
}

/** Keeps the NodeDatapath of one node as it was last told, by server-side apply. */
export class NodeWriter {
  readonly #options: NodeWriterOptions;
  readonly #path: string;
  #wanted: NodeStatus | undefined;
  #written: NodeStatus | undefined;
  #writtenAtMs = -Infinity;
  #nodeUid: string | undefined;
  #objectUid: string | undefined;
  #failures = 0;
  #isWriting = false;
  #isClosed = false;
  #timer: { readonly atMs: number; readonly cancel: () => void } | undefined;

  constructor(options: NodeWriterOptions) {
    this.#options = options;
    this.#path = `/apis/sluice.dev/v1alpha1/nodedatapaths/${encodeURIComponent(options.node)}`;
  }

  /** What the object says now, as an agent before this one left it; undefined when there is none. */
  async read(): Promise<NodeStatus | undefined> {
    try {
      const { status } = await this.#options.client.call<{ status?: NodeStatus }>({
        path: this.#path,
      });
      return status;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** Level-triggered: the newest status is written, when it differs from what was written last. */
  update(status: NodeStatus): void {
    this.#wanted = status;
    if (this.#failures > 0 || isDeepStrictEqual(status, this.#written)) return;
    this.#wakeForChange();
  }

  /** Ends the writing; a write that is under way may still arrive. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #wakeForChange(): void {
    const { clock, nodeCount } = this.#options;
    // At 5,000 nodes 500 writes per second, at ten none waits a quarter of a second.
    const spreadMs = Math.min(MIN_INTERVAL_MS, 200 + 2 * nodeCount());
    const earliest = this.#writtenAtMs + MIN_INTERVAL_MS - clock.monotonicMs();
    this.#wake(Math.max(0, earliest) + clock.random() * spreadMs);
  }

  /** An earlier wake-up wins over a later one. */
  #wake(inMs: number): void {
    if (this.#isClosed || this.#isWriting) return;
    const { clock } = this.#options;
    const atMs = clock.monotonicMs() + inMs;
    if (this.#timer !== undefined && this.#timer.atMs <= atMs) return;
    this.#timer?.cancel();
    const cancel = clock.after(inMs, () => {
      this.#timer = undefined;
      void this.#write();
    });
    this.#timer = { atMs, cancel };
  }

  async #write(): Promise<void> {
    const { clock, log } = this.#options;
    const status = this.#wanted;
    if (status === undefined) return;
    this.#isWriting = true;
    let nextMs: number;
    try {
      await this.#apply(status);
      if (this.#failures > 0) log.info({ failures: this.#failures }, "NodeDatapath written again");
      this.#failures = 0;
      this.#written = status;
      this.#writtenAtMs = clock.monotonicMs();
      nextMs = REAPPLY_MS * (0.9 + 0.2 * clock.random());
    } catch (error) {
      this.#failures += 1;
      if (this.#failures === 1)
        log.warn({ err: error }, "NodeDatapath cannot be written; retrying");
      // The Node may be another one by now.
      this.#nodeUid = undefined;
      const answer = error instanceof KubeError ? error : undefined;
      nextMs = backOffMs({ count: this.#failures }, 0, answer).delayMs;
    } finally {
      this.#isWriting = false;
    }
    this.#wake(nextMs);
    if (this.#failures === 0 && !isDeepStrictEqual(this.#wanted, status)) this.#wakeForChange();
  }

  async #apply(status: NodeStatus): Promise<void> {
    if (this.#nodeUid === undefined) await this.#applyObject();
    let written: Written;
    try {
      written = await this.#patch("/status", { status });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await this.#applyObject();
      written = await this.#patch("/status", { status });
    }
    const owners = written.metadata.ownerReferences ?? [];
    const isOwned = owners.some(({ uid }) => uid === this.#nodeUid);
    if (!isOwned || written.metadata.uid !== this.#objectUid) await this.#applyObject();
  }

  /** The object itself: it belongs to the Node, and goes with it. */
  async #applyObject(): Promise<void> {
    const { client, node } = this.#options;
    const { metadata } = await client.call<{ metadata: { uid: string } }>({
      path: `/api/v1/nodes/${encodeURIComponent(node)}`,
    });
    const owner = { apiVersion: "v1", kind: "Node", name: node, uid: metadata.uid };
    const written = await this.#patch("", { metadata: { ownerReferences: [owner] } });
    this.#nodeUid = metadata.uid;
    this.#objectUid = written.metadata.uid;
  }

  async #patch(subresource: "" | "/status", fields: { metadata?: object; status?: NodeStatus }) {
    const { client, node } = this.#options;
    return client.call<Written>({
      method: "PATCH",
      path: this.#path + subresource,
      query: { fieldManager: AGENT_FIELD_MANAGER, force: true },
      contentType: patchTypes.apply,
      body: {
        apiVersion: "sluice.dev/v1alpha1",
        kind: "NodeDatapath",
        ...fields,
        metadata: { name: node, ...fields.metadata },
      },
    });
  }
}

function isNotFound(error: unknown): boolean {
  return error instanceof KubeError && error.status === 404;
}
