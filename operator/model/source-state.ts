/** How the agent's source of objects is doing. */
export interface SourceState {
  readonly type: "folder" | "kubernetes";
  /** The folder, or the API server asked now. */
  readonly from: string;
  /** Everything has been told once. */
  readonly isSynced: boolean;
  /** Changes are heard of now. */
  readonly isConnected: boolean;
  /** Since when that is so, RFC 3339. */
  readonly since: string;
  /** Why changes are not heard of, one line for each reason. */
  readonly errors: readonly string[];
  /** Empty for a folder. */
  readonly kinds: readonly KindState[];
}

export interface KindState {
  /** `XdpPolicy`, `Node`, … */
  readonly kind: string;
  readonly objects: number;
  readonly isSynced: boolean;
  readonly isConnected: boolean;
  /** Events since the agent started; those of the first list count, too. */
  readonly events: number;
  /** Connections opened to watch this kind, since the agent started. */
  readonly streams: number;
  /** Times that the whole list was read, since the agent started. */
  readonly lists: number;
}
