/** What the fuzzer compares with the oracle. */

import { evaluate } from "../oracle/evaluate.js";
import { createState } from "../oracle/state.js";
import type { MatchedRule, Verdict, World } from "../oracle/world.js";

export interface Judgement {
  /** `abort` is never right. */
  readonly verdict: Verdict | "abort";
  /** One of the oracle's reasons; any other is a mismatch. */
  readonly reason: string;
  readonly policy?: string;
  readonly rule?: string;
  /** Compared when it is there. */
  readonly matched?: readonly MatchedRule[];
}

export interface Subject {
  /**
   * Judges by this world from now on and by nothing from before: no fragment seen, all buckets
   * full, no connection known. All of `world.interfaces` exist; no socket is in any socket map.
   * Throws when it cannot take the world, which counts as a failure: all worlds are valid.
   */
  apply(world: World): Promise<void>;
  /** The frame has at least an Ethernet header; `interfaceName` is one of `world.interfaces`. */
  judge(interfaceName: string, frame: Uint8Array): Judgement | Promise<Judgement>;
  close(): Promise<void>;
}

/**
 * The oracle as a subject. With `distort` it judges by another world than the one it was given:
 * a wrong implementation, which shows that the runner finds one.
 */
export function oracleSubject(distort: (world: World) => World = (world) => world): Subject {
  let judge: Subject["judge"] | undefined;
  return {
    apply(world) {
      const distorted = distort(world);
      const state = createState(distorted.nowMs);
      judge = (interfaceName, frame) => evaluate(distorted, state, interfaceName, frame);
      return Promise.resolve();
    },
    judge(interfaceName, frame) {
      if (judge === undefined) {
        throw new Error("judge was called before apply");
      }
      return judge(interfaceName, frame);
    },
    close: () => Promise.resolve(),
  };
}
