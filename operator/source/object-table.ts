import { recordOf } from "../model/projection.js";
import type { Origin, Problem } from "../model/records.js";
import { duplicateProblem, type HeldObject, type LoadedFile, objectKey } from "./loaded-file.js";
import type { ObjectEvent, SourceRecord } from "./source.js";

/** What policies refer to comes before them, and goes after them. */
const KIND_ORDER: readonly SourceRecord["kind"][] = [
  "Namespace",
  "Node",
  "Pod",
  "Service",
  "EndpointSlice",
  "XdpCidrSet",
  "XdpPolicy",
  "NetworkPolicy",
  "ClusterNetworkPolicy",
];
/** Kinds whose records count the changes of an object. */
const WITH_GENERATION: ReadonlySet<string> = new Set([
  "XdpCidrSet",
  "XdpPolicy",
  "NetworkPolicy",
  "ClusterNetworkPolicy",
] satisfies SourceRecord["kind"][]);

interface InForce {
  readonly kind: SourceRecord["kind"];
  readonly namespace?: string;
  readonly name: string;
  readonly digest: string;
  readonly generation: number;
  readonly source: string;
}

interface Placed {
  readonly held: HeldObject;
  readonly source: string;
}

/** The objects of all files together, and the generation of each. */
export class ObjectTable {
  readonly #inForce = new Map<string, InForce>();
  /** Kept after a delete: an object that comes back must not look unchanged. */
  readonly #generations = new Map<string, number>();

  /**
   * Compares what the files say now with what was told last.
   *
   * @param files in the order of their paths: of two objects of one kind and name the first counts
   */
  update(files: ReadonlyMap<string, LoadedFile>): {
    readonly events: readonly ObjectEvent[];
    readonly problems: readonly Problem[];
  } {
    const wanted = new Map<string, Placed>();
    const problems: Problem[] = [];
    for (const [source, file] of files) {
      for (const problem of file.problems) problems.push(problem);
      for (const [key, held] of file.objects) {
        const first = wanted.get(key);
        if (first === undefined) {
          wanted.set(key, { held, source });
        } else {
          problems.push(duplicateProblem(source, held.line, first.held, first.source));
        }
      }
    }
    const upserts = [...wanted].flatMap(([key, placed]) => this.#upsert(key, placed) ?? []);
    const gone = [...this.#inForce].filter(([key]) => !wanted.has(key));
    for (const [key] of gone) this.#inForce.delete(key);
    return {
      events: [
        ...upserts
          .toSorted((a, b) => rank(a.kind) - rank(b.kind))
          .map((record) => ({ type: "upsert", record }) as const),
        ...gone
          .map(([, { kind, namespace, name }]) => {
            return {
              type: "delete",
              kind,
              ...(namespace !== undefined && { namespace }),
              name,
            } as const;
          })
          .toSorted((a, b) => rank(b.kind) - rank(a.kind)),
      ],
      problems: problems.map((problem) => this.#withKept(problem)),
    };
  }

  /** The record to tell, when the object is new, means something new, or moved to another file. */
  #upsert(key: string, { held, source }: Placed): SourceRecord | undefined {
    const { kind, namespace, name, line, admitted } = held;
    const before = this.#inForce.get(key);
    if (before?.digest === admitted.digest && before.source === source) return undefined;
    const last = this.#generations.get(key) ?? 0;
    const generation = before?.digest === admitted.digest ? last : last + 1;
    this.#generations.set(key, generation);
    const { digest, draft } = admitted;
    const scope = namespace !== undefined && { namespace };
    this.#inForce.set(key, { kind, ...scope, name, digest, generation, source });
    const origin: Origin = { source, line };
    const counted = WITH_GENERATION.has(kind) ? generation : undefined;
    return recordOf<SourceRecord>(draft, origin, counted);
  }

  #withKept(problem: Problem): Problem {
    const { severity, kind, name, origin } = problem;
    if (severity !== "error" || kind === undefined || name === undefined) return problem;
    const kept = this.#inForce.get(objectKey(kind, name));
    if (kept === undefined || kept.source !== origin.source) return problem;
    return { ...problem, keptGeneration: kept.generation };
  }
}

function rank(kind: SourceRecord["kind"]): number {
  return KIND_ORDER.indexOf(kind);
}
