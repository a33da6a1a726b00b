import { existsSync } from "node:fs";
import koffi from "koffi";
import type { GlobalLayout } from "./codec.js";
import { datapathError, errnoName, SystemError } from "./errors.js";
import type { GlobalValue } from "./globals.js";
import { sectionGlobals, writeGlobal } from "./globals.js";
import type { MapFd, ProgramFd } from "./handles.js";
import { libc, lastError } from "./libc.js";
import type { MapPointer, ObjectPointer, ProgramPointer } from "./libbpf.js";
import { libbpf } from "./libbpf.js";
import { captureLog, captureLogSync } from "./libbpf-log.js";
import { encodeOpts } from "./libbpf-opts.js";
import { loadError } from "./load-failure.js";
import type { ExpectedMap } from "./map-layout.js";
import { checkMap } from "./map-layout.js";
import { ObjectMap, ObjectProgram } from "./object-parts.js";
import { Program } from "./programs.js";
import type { LogBuffer } from "./verifier-log.js";
import { allocateLog } from "./verifier-log.js";

const fcntlDupFdCloexec = 1030;

export interface OpenOptions {
  /** Name in messages and of the sections of globals; default: the file name. */
  readonly name?: string | undefined;
  /** 1 or 2 keep a verifier log also of programs that are accepted. */
  readonly logLevel?: 0 | 1 | 2 | undefined;
}

export interface LoadOptions {
  /** Layouts that the loaded maps are checked against; sizes set before the load are allowed for. */
  readonly expect?: Iterable<ExpectedMap> | undefined;
}

/** Loads run one after another, because libbpf has one print callback for the whole process. */
let lastLoad: Promise<unknown> = Promise.resolve();

/**
 * A compiled BPF object file: open it, choose and configure, load it, take what is needed, close it.
 * What was taken, pinned or attached lives on after `close`.
 *
 * @example
 * const object = BpfObject.open("dist/bpf/drop-tcp.o");
 * await object.load();
 * const program = object.takeProgram("drop_tcp");
 * object.close();
 */
export class BpfObject {
  readonly name: string;
  readonly programs: ReadonlyMap<string, ObjectProgram>;
  readonly maps: ReadonlyMap<string, ObjectMap>;
  readonly #pointer: ObjectPointer;
  readonly #log: LogBuffer;
  #state: "open" | "loading" | "loaded" | "failed" | "closed" = "open";

  private constructor(pointer: ObjectPointer, log: LogBuffer) {
    this.#pointer = pointer;
    this.#log = log;
    const bpf = libbpf();
    this.name = bpf.bpf_object__name(pointer);
    const guard =
      <P>(part: P) =>
      () => {
        this.#require("open", "loaded", "failed");
        return part;
      };
    const programs = chain<ProgramPointer>((last) =>
      bpf.bpf_object__next_program(pointer, last),
    ).map((part) => new ObjectProgram(guard(part)));
    const maps = chain<MapPointer>((last) => bpf.bpf_object__next_map(pointer, last)).map(
      (part) => new ObjectMap(guard(part)),
    );
    this.programs = new Map(programs.map((program) => [program.name, program]));
    this.maps = new Map(maps.map((map) => [map.name, map]));
  }

  /**
   * Reads an object file, or the bytes of one. Needs no privilege.
   *
   * @throws SluiceError SLUICE_OBJECT_MISSING, SLUICE_OBJECT_INVALID
   */
  static open(source: string | Uint8Array, options: OpenOptions = {}): BpfObject {
    const what = typeof source === "string" ? source : (options.name ?? "the object in memory");
    if (typeof source === "string" && !existsSync(source)) {
      throw datapathError("SLUICE_OBJECT_MISSING", `there is no BPF object file ${source}`);
    }
    const bpf = libbpf();
    // libbpf keeps the pointer until the object is closed, so the memory must not be a JS buffer.
    const log = allocateLog();
    const name = options.name === undefined ? null : Buffer.from(`${options.name}\0`);
    const opts = encodeOpts("objectOpen", {
      object_name: name,
      kernel_log_buf: log.address,
      kernel_log_size: log.length,
      kernel_log_level: options.logLevel ?? 0,
    });
    const lines: string[] = [];
    let errno = 0;
    const pointer = captureLogSync(lines, () => {
      const opened =
        typeof source === "string"
          ? bpf.bpf_object__open_file(source, opts)
          : bpf.bpf_object__open_mem(source, source.length, opts);
      errno = koffi.errno();
      return opened;
    });
    if (pointer === null) {
      log.free();
      throw datapathError(
        "SLUICE_OBJECT_INVALID",
        `${what} is not a BPF object that libbpf can read (${errnoName(errno)}):\n` +
          `${lines.join("\n")}\n`,
        { cause: new SystemError("bpf_object__open", errno) },
      );
    }
    return new BpfObject(pointer, log);
  }

  /** @throws SluiceError SLUICE_UNKNOWN_NAME */
  program(name: string): ObjectProgram {
    return this.#named("program", this.programs, name);
  }

  /** @throws SluiceError SLUICE_UNKNOWN_NAME */
  map(name: string): ObjectMap {
    return this.#named("map", this.maps, name);
  }

  /** Chooses the programs to load; all others are left out. */
  selectPrograms(names: Iterable<string>): void {
    const chosen = new Set([...names].map((name) => this.program(name).name));
    for (const program of this.programs.values()) program.setAutoload(chosen.has(program.name));
  }

  /** The map behind a section of globals, such as `.rodata`; undefined when the object has none. */
  globals(section: ".rodata" | ".data" | ".bss"): ObjectMap | undefined {
    return [...this.maps.values()].find((map) => map.isGlobals && map.name.endsWith(section));
  }

  /**
   * Sets a global variable before the load. `const volatile` ones are then constants to the verifier,
   * which removes the code that they switch off.
   *
   * @param global its name, or its generated layout, which is then checked against this object
   * @throws SluiceError SLUICE_UNKNOWN_NAME, SLUICE_MAP_MISMATCH, SLUICE_BAD_VALUE
   */
  setGlobal(global: string | GlobalLayout, value: GlobalValue): void {
    this.#require("open");
    const name = typeof global === "string" ? global : global.name;
    const btf = libbpf().bpf_object__btf(this.#pointer);
    const known: string[] = [];
    for (const section of [".rodata", ".data", ".bss"] as const) {
      if (btf === null) break;
      const globals = sectionGlobals(btf, section);
      known.push(...globals.keys());
      const found = globals.get(name);
      const map = this.globals(section);
      if (found === undefined || map === undefined) continue;
      if (
        typeof global !== "string" &&
        (global.offset !== found.offset || global.size !== found.size)
      ) {
        throw datapathError(
          "SLUICE_MAP_MISMATCH",
          `variable ${name} of ${this.name} is at ${found.offset}+${found.size}, and the layout ` +
            `says ${global.offset}+${global.size}`,
        );
      }
      writeGlobal(map.initialValue(), found, value);
      return;
    }
    throw unknownName(this.name, "global variable", name, known);
  }

  /**
   * Loads the maps and programs into the kernel, on another thread: verification takes up to seconds.
   *
   * @throws SluiceError SLUICE_VERIFIER_REFUSED, SLUICE_NO_CAPABILITY, SLUICE_KERNEL_TOO_OLD,
   *   SLUICE_MAP_LAYOUT, SLUICE_MAP_MISMATCH, SLUICE_LOAD_FAILED
   */
  async load(options: LoadOptions = {}): Promise<void> {
    this.#require("open");
    this.#state = "loading";
    const lines: string[] = [];
    const run = lastLoad.then(() => captureLog(lines, () => loadOnPool(this.#pointer)));
    lastLoad = run.catch(() => undefined);
    let result: number;
    try {
      result = await run;
    } catch (error) {
      this.#state = "failed";
      throw error;
    }
    if (result < 0) {
      this.#state = "failed";
      throw this.#loadError(result, lines);
    }
    this.#state = "loaded";
    for (const expected of options.expect ?? []) {
      const map = this.map(expected.name);
      checkMap(map.ownFd, { ...expected, maxEntries: map.layout.maxEntries });
    }
  }

  /** Log of the verifier of the last program; empty when all was accepted and no log was asked for. */
  get verifierLog(): string {
    if (this.#state === "closed" || this.#state === "loading") return "";
    return this.#log.read();
  }

  /**
   * A descriptor of a loaded map for the caller to keep and close.
   *
   * @throws SluiceError SLUICE_UNKNOWN_NAME, SLUICE_OBJECT_STATE
   */
  takeMap(name: string): MapFd {
    return this.#take(this.map(name)) as MapFd;
  }

  /**
   * A loaded program for the caller to keep and close.
   *
   * @throws SluiceError SLUICE_UNKNOWN_NAME, SLUICE_OBJECT_STATE
   */
  takeProgram(name: string): Program {
    const program = this.program(name);
    return new Program(this.#take(program) as ProgramFd, program.name);
  }

  /** Frees the file and the descriptors of the object; what was taken or pinned stays. */
  close(): void {
    if (this.#state === "closed") return;
    if (this.#state === "loading") {
      throw datapathError("SLUICE_OBJECT_STATE", `${this.name} cannot be closed while it loads`);
    }
    this.#state = "closed";
    libbpf().bpf_object__close(this.#pointer);
    this.#log.free();
  }

  #take(part: ObjectProgram | ObjectMap): number {
    this.#require("loaded");
    const own = part.ownFd;
    if (own < 0) {
      throw datapathError("SLUICE_OBJECT_STATE", `${part.name} of ${this.name} was not loaded`);
    }
    const fd = libc().fcntl(own, fcntlDupFdCloexec, 3);
    if (fd >= 0) return fd;
    const cause = lastError("fcntl");
    throw datapathError("SLUICE_SYSTEM_CALL", `cannot keep ${part.name} of ${this.name}`, {
      cause,
    });
  }

  #loadError(result: number, lines: readonly string[]) {
    const wanted = [...this.programs.values()].filter((program) => program.autoload);
    return loadError({
      object: this.name,
      result,
      lines,
      log: this.verifierLog,
      programTypes: new Map(wanted.map(({ name, type }) => [name, type])),
      mapTypes: new Map([...this.maps.values()].map(({ name, layout }) => [name, layout.type])),
    });
  }

  #named<Part>(kind: string, parts: ReadonlyMap<string, Part>, name: string): Part {
    const found = parts.get(name);
    if (found === undefined) throw unknownName(this.name, kind, name, parts.keys());
    return found;
  }

  #require(...states: readonly string[]): void {
    if (states.includes(this.#state)) return;
    throw datapathError(
      "SLUICE_OBJECT_STATE",
      `${this.name} is ${this.#state}, and this needs it ${states.join(" or ")}`,
    );
  }
}

function chain<P>(next: (last: P | null) => P | null): readonly P[] {
  const all: P[] = [];
  for (let item = next(null); item !== null; item = next(item)) all.push(item);
  return all;
}

function unknownName(object: string, kind: string, name: string, known: Iterable<string>) {
  const names = [...known].join(", ");
  return datapathError("SLUICE_UNKNOWN_NAME", `${object} has no ${kind} ${name}; it has: ${names}`);
}

function loadOnPool(pointer: ObjectPointer): Promise<number> {
  return new Promise((resolve, reject) => {
    libbpf().bpf_object__load.async(pointer, (error: unknown, result: number) => {
      if (error) reject(error);
      else resolve(result);
    });
  });
}
