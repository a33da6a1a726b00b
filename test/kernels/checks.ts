/** What the guest runs, as lines of shell, and how its report reads. */

/** A packet for a loaded program. */
export interface PacketRun {
  /** One word for the report and the file. */
  readonly name: string;
  readonly object: string;
  readonly program: string;
  readonly frame: Uint8Array;
  /** What the program must return, as an unsigned 32-bit number. */
  readonly returns: number;
}

export interface Report {
  /** `uname -r` */
  readonly release: string;
  /** By object: the loader's last words, empty when it loaded. */
  readonly loads: ReadonlyMap<string, string>;
  /** Instructions the verifier looked at, by `object/program`. */
  readonly verified: ReadonlyMap<string, number>;
  /** What bpftool said about each packet, by name. */
  readonly runs: ReadonlyMap<string, string>;
  /** What bpftool said about the tables. */
  readonly tables: string;
  /** What bpftool said of the row of the `traces` map. */
  readonly trace: string;
}

const BPFFS = "/sys/fs/bpf";

/** Folder of an object's pinned maps in the guest. */
export function mapsFolder(object: string): string {
  return `${BPFFS}/${object}/maps`;
}

export const objectFile = (object: string): string => `/objects/${object}.o`;
export const frameFile = (name: string): string => `/frames/${name}`;

export const reportRelease = 'echo "release $(uname -r)"';

/** Loads all programs of an object, and says what that cost the verifier. */
export function loadInGuest(object: string): readonly string[] {
  const folder = `${BPFFS}/${object}`;
  return [
    `mkdir ${folder}`,
    `if bpftool prog loadall ${objectFile(object)} ${folder}/programs pinmaps ${folder}/maps \\`,
    `  >/tmp/log 2>&1`,
    `then echo "loaded ${object}"; verified-instructions ${folder}/programs/*`,
    `else tail -n 30 /tmp/log | sed "s/^/refused ${object} /"; fi`,
  ];
}

/** The last line that a command prints, behind the words that say what it is. */
function sayOutput(words: string, command: string): string {
  return `echo "${words} $(${command} 2>&1 | tail -n 1)"`;
}

/** Runs bpftool's commands of a file. */
export function fillTables(file: string): string {
  return sayOutput("tables", `bpftool batch file ${file}`);
}

export function runPacket({ name, object, program }: PacketRun): string {
  const path = `${BPFFS}/${object}/programs/${program}`;
  return sayOutput(`run ${name}`, `bpftool -j prog run pinned ${path} data_in ${frameFile(name)}`);
}

export const reportTrace = sayOutput(
  "trace",
  `bpftool -j map lookup pinned ${mapsFolder("uplink")}/traces key 0 0 0 0`,
);

export function parseReport(lines: readonly string[]): Report {
  const loads = new Map<string, string>();
  const verified = new Map<string, number>();
  const runs = new Map<string, string>();
  let release = "";
  let tables = "";
  let trace = "";
  for (const line of lines) {
    const [kind = "", subject = "", ...rest] = line.split(" ");
    const text = rest.join(" ");
    if (kind === "release") release = subject;
    else if (kind === "tables") tables = `${subject} ${text}`;
    else if (kind === "trace") trace = `${subject} ${text}`;
    else if (kind === "loaded") loads.set(subject, "");
    else if (kind === "refused") loads.set(subject, `${loads.get(subject) ?? ""}${text}\n`);
    else if (kind === "run") runs.set(subject, text);
    else if (kind === "verified") {
      const [, object = "", , program = ""] = subject.slice(BPFFS.length).split("/");
      verified.set(`${object}/${program}`, Number(text));
    }
  }
  return { release, loads, verified, runs, tables, trace };
}
