import type { ObjectRecord, Problem } from "../model/records.js";
import type { ClusterRecord } from "../model/records-cluster.js";
import type { SourceState } from "../model/source-state.js";

/** What policies are made of, and what else a cluster is made of. */
export type SourceRecord = ObjectRecord | ClusterRecord;

/**
 * What a source tells, level-triggered: an upsert carries the whole object, `problems` the whole
 * list.
 *
 * A source tells in passes. The events of one pass come in one go, without a turn of the event loop
 * in between, upserts before deletes, and `problems` last: whoever acts once per pass never sees
 * half of a change. `synced` comes once, at the end of the first pass.
 */
export type ObjectEvent<R extends SourceRecord = SourceRecord> =
  | { readonly type: "upsert"; readonly record: R }
  | {
      readonly type: "delete";
      readonly kind: R["kind"];
      /** Missing for what has none. */
      readonly namespace?: string;
      readonly name: string;
    }
  /** All that is wrong now; what is not in the list any more has been put right. */
  | { readonly type: "problems"; readonly problems: readonly Problem[] }
  | { readonly type: "synced" };

/** Takes events. It must not throw. */
export type Sink<R extends SourceRecord = SourceRecord> = (event: ObjectEvent<R>) => void;

/** Where objects come from: a folder of manifests, or an API server. */
export interface Source {
  /**
   * Begins to read. A folder has told `synced` when this resolves; an API server may come much later.
   *
   * @throws SluiceError when there is nothing to read from, and waiting would not help
   */
  start(sink: Sink): Promise<void>;
  state(): SourceState;
  /** Ends all reading; no event comes after it resolved. */
  close(): Promise<void>;
}
