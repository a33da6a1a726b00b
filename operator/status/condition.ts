import { shorten } from "./shorten.js";

/** One aspect of an object's state, as Kubernetes writes it. */
export interface Condition {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  /** CamelCase. */
  readonly reason: string;
  readonly message: string;
  /** RFC 3339; when `status` last changed. */
  readonly lastTransitionTime: string;
  readonly observedGeneration?: number;
}

export type Finding = Omit<Condition, "lastTransitionTime">;

/** The conditions that are found now; one whose status is as before keeps the time of its last change. */
export function toConditions(
  findings: readonly Finding[],
  before: readonly Condition[],
  nowMs: number,
): readonly Condition[] {
  return findings.map((finding) => {
    const old = before.find(({ type }) => type === finding.type);
    return {
      ...finding,
      message: shorten(finding.message),
      lastTransitionTime:
        old?.status === finding.status ? old.lastTransitionTime : toSeconds(nowMs),
    };
  });
}

/** As `metav1.Time`: whole seconds. */
export function toSeconds(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
