import type {
  Counter,
  Engine,
  EngineStatus,
  PodPolicyState,
  ProtocolState,
  ReasonName,
  RuleState,
  SetState,
} from "../api/engine.js";
import { SluiceError } from "../errors.js";

/** All that one scrape is made of, read at one moment. */
export interface Snapshot {
  readonly status: EngineStatus;
  readonly rules: readonly RuleState[];
  readonly sets: readonly SetState[];
  readonly reasons: Readonly<Partial<Record<ReasonName, Counter>>>;
  readonly protocols: readonly ProtocolState[];
  readonly podPolicies: readonly PodPolicyState[] | undefined;
  readonly blocked: number;
  readonly eventsLost: number;
}

export type SnapshotSource = Pick<
  Engine,
  "status" | "rules" | "sets" | "reasons" | "protocols" | "podPolicies" | "blocked" | "eventsLost"
>;

/** Undefined while the datapath is not loaded, which is no error: the agent is starting. */
export function takeSnapshot(engine: SnapshotSource): Snapshot | undefined {
  try {
    return {
      status: engine.status(),
      rules: engine.rules(),
      sets: engine.sets(),
      reasons: engine.reasons(),
      protocols: engine.protocols(),
      podPolicies: engine.podPolicies(),
      blocked: engine.blocked().length,
      eventsLost: engine.eventsLost(),
    };
  } catch (error) {
    if (error instanceof SluiceError && error.code === "SLUICE_NOT_STARTED") return undefined;
    throw error;
  }
}
