/** One case against one subject: the first packet on which it and the oracle differ. */

import { isDeepStrictEqual } from "node:util";
import { evaluate } from "../oracle/evaluate.js";
import { createState } from "../oracle/state.js";
import type { Evaluation } from "../oracle/world.js";
import type { FuzzCase } from "./generate.js";
import type { Judgement, Subject } from "./subject.js";

export type Failure =
  | {
      readonly kind: "mismatch";
      /** Of the packet. */
      readonly index: number;
      readonly expected: Evaluation;
      readonly actual: Judgement;
    }
  /** The subject threw at a packet. */
  | { readonly kind: "error"; readonly index: number; readonly error: unknown }
  /** The subject did not take the world. */
  | { readonly kind: "refusal"; readonly error: unknown };

export interface CheckResult {
  readonly failure?: Failure;
  /** Packets on which both agreed. */
  readonly agreed: readonly Evaluation[];
  /** Packets not compared because too much time had passed. */
  readonly skipped: number;
}

/** A draining bucket regains its first token after a second; a fragment is forgotten after 30. */
const TIMED_MS = 900;
const UNTIMED_MS = 25_000;

export async function check(subject: Subject, fuzzCase: FuzzCase): Promise<CheckResult> {
  const { world, packets } = fuzzCase;
  const agreed: Evaluation[] = [];
  try {
    await subject.apply(world);
  } catch (error) {
    return { failure: { kind: "refusal", error }, agreed, skipped: 0 };
  }
  const state = createState(world.nowMs);
  const deadline = performance.now() + (fuzzCase.isTimed ? TIMED_MS : UNTIMED_MS);
  for (const [index, { interfaceName, frame }] of packets.entries()) {
    const expected = evaluate(world, state, interfaceName, frame);
    let actual: Judgement;
    try {
      actual = await subject.judge(interfaceName, frame);
    } catch (error) {
      return { failure: { kind: "error", index, error }, agreed, skipped: 0 };
    }
    if (performance.now() > deadline) {
      return { agreed, skipped: packets.length - index };
    }
    if (!isSame(expected, actual)) {
      return { failure: { kind: "mismatch", index, expected, actual }, agreed, skipped: 0 };
    }
    agreed.push(expected);
  }
  return { agreed, skipped: 0 };
}

function isSame(expected: Evaluation, actual: Judgement): boolean {
  return (
    expected.verdict === actual.verdict &&
    expected.reason === actual.reason &&
    expected.policy === actual.policy &&
    expected.rule === actual.rule &&
    (actual.matched === undefined || isDeepStrictEqual(expected.matched, actual.matched))
  );
}
