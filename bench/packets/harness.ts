import { fileURLToPath } from "node:url";
import {
  BpfMap,
  BpfObject,
  closeFd,
  MappedArray,
  type Program,
  testRun,
  u32,
} from "../../datapath/index.js";
import { loopback } from "../sluice.js";

const OBJECT = fileURLToPath(new URL("../../bpf/harness.o", import.meta.url));

/** Sources that {@link Harness} sends from in turn. */
export type Sources =
  /** In network order; as many as the harness holds. */
  | { readonly family: 4; readonly words: Uint32Array }
  /** 16 bytes each. */
  | { readonly family: 6; readonly bytes: Uint8Array };

/** Sources of one list. */
export const sourceCount = { v4: 1 << 20, v6: 1 << 18 } as const;

/** Runs programs on one packet, from one source or from a list of them. */
export class Harness {
  readonly emptyPass: Program;
  readonly emptyDrop: Program;
  readonly #varyV4: Program;
  readonly #varyV6: Program;
  readonly #v4: MappedArray;
  readonly #v6: MappedArray;
  readonly #subject: BpfMap<number, number>;

  private constructor(object: BpfObject) {
    const mapped = (name: string) => {
      const fd = object.takeMap(name);
      try {
        return new MappedArray(fd);
      } finally {
        closeFd(fd);
      }
    };
    this.emptyPass = object.takeProgram("empty_pass");
    this.emptyDrop = object.takeProgram("empty_drop");
    this.#varyV4 = object.takeProgram("vary_v4_source");
    this.#varyV6 = object.takeProgram("vary_v6_source");
    this.#v4 = mapped("v4_sources");
    this.#v6 = mapped("v6_sources");
    this.#subject = new BpfMap(object.takeMap("subject"), u32, u32);
  }

  static async open(): Promise<Harness> {
    const object = BpfObject.open(OBJECT);
    try {
      await object.load();
      return new Harness(object);
    } finally {
      object.close();
    }
  }

  /**
   * CPU time of this process in nanoseconds for `repeat` packets, all that the test runner does included. The kernel's
   * own figure per packet is cut to whole nanoseconds, and counts the time that other processes took.
   */
  time(program: Program, packet: Uint8Array, sources: Sources | undefined, repeat: number): number {
    const run = this.#prepare(program, sources);
    const before = process.cpuUsage();
    testRun(run, { packet, context: { ingress: loopback }, repeat });
    const { user, system } = process.cpuUsage(before);
    return (user + system) * 1000;
  }

  close(): void {
    for (const program of [this.emptyPass, this.emptyDrop, this.#varyV4, this.#varyV6]) {
      program.close();
    }
    this.#v4.close();
    this.#v6.close();
    this.#subject.close();
  }

  #prepare(program: Program, sources: Sources | undefined): Program {
    if (sources === undefined) return program;
    this.#subject.update(0, program.fd);
    if (sources.family === 4) {
      this.#v4.u32.set(sources.words);
      return this.#varyV4;
    }
    this.#v6.bytes.set(sources.bytes);
    return this.#varyV6;
  }
}
