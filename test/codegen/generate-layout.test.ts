import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Codec, GlobalLayout, MapLayout, StructCodec } from "../../datapath/codec.js";

const root = fileURLToPath(new URL("../../..", import.meta.url));

const prelude = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#define TABLE(NAME, VALUE) struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); \\
  __type(key, __u32); __type(value, VALUE); } NAME SEC(".maps")
`;

const sample = `${prelude}
enum colour { RED, GREEN = 7, BLUE };
enum limits { MAX_ROWS = 4096 };
struct point { __s16 x; __s32 y; };
struct row {
  __u8 kind;
  __be16 port;
  __u8 mac[6];
  __u64 counter;
  enum colour colour;
  __u32 words[3];
  __u64 long_words[2];
  struct point origin;
  struct point corners[2];
  char label[5];
  _Bool is_set;
  __u8 pad[2];
  __s64 delta;
  struct bpf_spin_lock lock;
};
struct event { __u64 time_ns; __u8 bytes[128]; };
struct lpm_key { __u32 prefix_length; __u8 address[16]; };

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, MAX_ROWS);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct lpm_key);
  __type(value, struct row);
} row_table SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 65536); } events SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_DEVMAP);
  __uint(max_entries, 4);
  __type(key, __u32);
  __type(value, struct bpf_devmap_val);
} ports SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 2);
  __type(key, __u32);
  __array(values, struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 64);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, __u64);
  });
} banks SEC(".maps");

const volatile __u8 small_switch = 1;
const volatile __u32 wide_switch = 2;
const volatile struct point where;
__u64 total;
__u32 started = 5;
const enum limits *export_limits SEC(".layout");
const struct event *export_event SEC(".layout");

SEC("xdp") int program(struct xdp_md *ctx)
{
  if (small_switch && wide_switch && where.x)
    total += started++;
  return XDP_PASS;
}
char LICENSE[] SEC("license") = "GPL";
`;

let folder: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-layout-"));
});

after(() => rmSync(folder, { recursive: true, force: true }));

function compile(name: string, source: string): string {
  const object = join(folder, `${name}.o`);
  const multiarch = execFileSync("gcc", ["-dumpmachine"], { encoding: "utf8" }).trim();
  const flags = ["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-I", `/usr/include/${multiarch}`];
  execFileSync("clang", [...flags, "-x", "c", "-", "-c", "-o", object], { input: source });
  return object;
}

function generate(out: string, ...objects: readonly string[]) {
  const script = join(root, "scripts/generate-layout.mjs");
  return spawnSync(process.execPath, [script, "--out", out, ...objects], { encoding: "utf8" });
}

describe("a generated layout", () => {
  /** The module, which is made anew here and so has no type of its own. */
  let layout: {
    readonly layoutHash: string;
    readonly Colour: Readonly<Record<string, number>>;
    readonly Limits: Readonly<Record<string, number>>;
    readonly Row: StructCodec<Record<string, unknown>>;
    readonly Event: StructCodec<Record<string, unknown>>;
    readonly sampleMaps: Readonly<Record<string, MapLayout>>;
    readonly sampleGlobals: Readonly<Record<string, Readonly<Record<string, GlobalLayout>>>>;
  };
  let object: string;

  const row = {
    kind: 255,
    port: 0xabcd,
    mac: Uint8Array.of(1, 2, 3, 4, 5, 6),
    counter: 2n ** 64n - 1n,
    colour: 7,
    words: [1, 2, 0xffffffff],
    longWords: [3n, 4n],
    origin: { x: -2, y: -70000 },
    corners: [
      { x: 1, y: 2 },
      { x: 3, y: 4 },
    ],
    label: Uint8Array.of(0x61, 0x62, 0, 0, 0),
    isSet: true,
    delta: -5n,
  };

  before(async () => {
    object = compile("sample", sample);
    mkdirSync(join(folder, "generated"));
    copyFileSync(join(root, "datapath/codec.ts"), join(folder, "codec.ts"));
    writeFileSync(join(folder, "package.json"), '{"type":"module"}');
    const made = generate(join(folder, "generated/layout.ts"), object);
    assert.equal(made.status, 0, made.stderr);
    // The flags of the repository: the generated file has to hold under them.
    const { compilerOptions } = JSON.parse(readFileSync(join(root, "tsconfig.json"), "utf8")) as {
      compilerOptions: Readonly<Record<string, unknown>>;
    };
    const options = { ...compilerOptions, types: [], noUnusedLocals: true };
    const project = { compilerOptions: options, files: ["generated/layout.ts"] };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(project));
    execFileSync(join(root, "node_modules/.bin/tsc"), ["-p", folder], { encoding: "utf8" });
    const url = pathToFileURL(join(folder, "dist/generated/layout.js")).href;
    layout = (await import(url)) as typeof layout;
  });

  test("has the sizes and offsets that bpftool reads from the object", () => {
    const dump = execFileSync("bpftool", ["-j", "btf", "dump", "file", object], {
      encoding: "utf8",
    });
    const { types } = JSON.parse(dump) as {
      types: { kind: string; name: string; size: number; members: BpftoolMember[] }[];
    };
    const struct = types.find(({ kind, name }) => kind === "STRUCT" && name === "row");
    const offsets = (struct?.members ?? [])
      .filter(({ name }) => name !== "pad" && name !== "lock")
      .map(({ bits_offset }) => bits_offset / 8);
    assert.equal(layout.Row.size, struct?.size);
    assert.deepEqual(Object.values(layout.Row.offsets), offsets);
    assert.deepEqual(Object.keys(layout.Row.offsets), Object.keys(row));
  });

  test("round-trips every kind of field at any place of a buffer", () => {
    const view = new DataView(new ArrayBuffer(layout.Row.size + 24), 8);
    layout.Row.encode(row, view, 3);
    assert.deepEqual(layout.Row.decode(view, 3), row);
  });

  test("writes little-endian bytes where C has them, and zeros into all padding", () => {
    const encodedOver = (filling: number) => {
      const bytes = Buffer.alloc(layout.Row.size, filling);
      layout.Row.encode(row, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0);
      return bytes;
    };
    const bytes = encodedOver(0xff);
    assert.deepEqual(bytes, encodedOver(0), "a byte was left as it was");
    assert.equal(bytes.toString("hex", 0, 16), "ff00cdab010203040506000000000000");
    assert.equal(bytes.toString("hex", 16, 28), "ffffffffffffffff07000000");
    const { delta = 0 } = layout.Row.offsets;
    assert.equal(bytes.toString("hex", delta), "fbffffffffffffff0000000000000000");
  });

  test("refuses a value that does not fit, and names the field", () => {
    const view = new DataView(new ArrayBuffer(layout.Row.size));
    const cases: readonly [Record<string, unknown>, RegExp][] = [
      [{ kind: 256 }, /^RangeError: row\.kind: 256 is not a value of __u8$/],
      [{ port: -1 }, /row\.port: -1/],
      [{ colour: 1.5 }, /row\.colour: 1\.5/],
      [{ counter: -1n }, /row\.counter: -1/],
      [{ delta: 2n ** 63n }, /row\.delta/],
      [{ mac: new Uint8Array(5) }, /row\.mac: an array of 5 bytes is not a value of __u8\[6\]/],
      [{ words: [1, 2] }, /row\.words: an array of 2 elements is not a value of __u32\[3\]/],
      [{ origin: { x: 40000, y: 0 } }, /point\.x: 40000/],
    ];
    for (const [change, message] of cases) {
      assert.throws(() => layout.Row.encode({ ...row, ...change }, view, 0), message);
    }
  });

  test("decodes copies, not windows onto the buffer", () => {
    const view = new DataView(new ArrayBuffer(layout.Row.size));
    layout.Row.encode(row, view, 0);
    const { mac } = layout.Row.decode(view, 0);
    view.setUint8(layout.Row.offsets["mac"] ?? 0, 99);
    assert.deepEqual(mac, row.mac);
  });

  test("has the enums, exported ones included", () => {
    assert.deepEqual(layout.Colour, { RED: 0, GREEN: 7, BLUE: 8 });
    assert.deepEqual(layout.Limits, { MAX_ROWS: 4096 });
  });

  test("has structs that only an export pointer names", () => {
    assert.deepEqual(layout.Event.offsets, { timeNs: 0, bytes: 8 });
    assert.equal(layout.Event.size, 136);
  });

  test("describes each map as the object declares it", () => {
    const { rowTable, events, ports, banks } = layout.sampleMaps;
    assert.deepEqual(summary(rowTable), ["row_table", 11, 20, layout.Row.size, 4096, 1]);
    assert.equal(rowTable?.key?.name, "struct lpm_key");
    assert.equal(rowTable?.value, layout.Row);
    assert.deepEqual(summary(events), ["events", 27, 0, 0, 65536, 0]);
    assert.equal(events?.key, undefined);
    assert.deepEqual(summary(ports), ["ports", 14, 4, 8, 4, 0]);
    assert.deepEqual(ports?.value?.decode(new DataView(new ArrayBuffer(8)), 0), {
      ifindex: 0,
      bpfProg: 0,
    });
    assert.deepEqual(summary(banks), ["banks", 12, 4, 4, 2, 0]);
    assert.deepEqual(summary(banks?.inner), ["banks.inner", 2, 4, 8, 64, 1024]);
    assert.equal(banks?.inner?.value?.name, "__u64");
  });

  test("places global variables as the bytes of their section", () => {
    const { rodata = {}, bss = {}, data = {} } = layout.sampleGlobals;
    const sections = sectionBytes(object, ".rodata");
    const view = new DataView(sections.buffer, sections.byteOffset, sections.length);
    assert.equal(read(rodata["smallSwitch"], view), 1);
    assert.equal(read(rodata["wideSwitch"], view), 2);
    assert.deepEqual(read(rodata["where"], view), { x: 0, y: 0 });
    assert.deepEqual(bss, {
      total: { name: "total", offset: 0, size: 8, codec: bss["total"]?.codec },
    });
    assert.equal(data["started"]?.size, 4);
  });

  test("keeps its hash when code changes and changes it with any table", () => {
    const hashOf = (name: string, source: string) => {
      const out = join(folder, `${name}.ts`);
      const made = generate(out, compile(name, source));
      assert.equal(made.status, 0, made.stderr);
      return /layoutHash = "([0-9a-f]{12})"/.exec(readFileSync(out, "utf8"))?.[1];
    };
    assert.equal(hashOf("code", sample.replace("XDP_PASS", "XDP_DROP")), layout.layoutHash);
    const changes = [
      sample.replace("MAX_ROWS = 4096", "MAX_ROWS = 4097"),
      sample.replace("__s16 x; __s32 y;", "__s32 y; __s16 x;"),
      sample.replace("__uint(map_flags, BPF_F_MMAPABLE);", ""),
      sample.replace("__u64 time_ns;", "__s64 time_ns;"),
    ];
    const hashes = changes.map((source, index) => hashOf(`change${index}`, source));
    assert.equal(new Set([layout.layoutHash, ...hashes]).size, changes.length + 1);
  });
});

describe("the generator refuses", () => {
  const cases: readonly [what: string, source: string, message: RegExp][] = [
    [
      "a union",
      "struct bad { union { __u32 v4; __u8 v6[16]; } address; }; TABLE(t, struct bad);",
      /struct bad, field address: unions have no codec/,
    ],
    [
      "a bit-field",
      "struct bad { __u32 low : 4; __u32 high : 28; }; TABLE(t, struct bad);",
      /struct bad, field low: bit-fields have no codec/,
    ],
    [
      "a pointer",
      "struct bad { void *next; }; TABLE(t, struct bad);",
      /struct bad, field next: a pointer means nothing/,
    ],
    [
      "a struct without a name",
      "struct bad { struct { __u32 a; } inner; }; TABLE(t, struct bad);",
      /struct bad, field inner: a struct without a name/,
    ],
    [
      "two fields of one name in TypeScript",
      "struct bad { __u32 a_b; __u32 aB; }; TABLE(t, struct bad);",
      /struct bad, field aB: becomes aB, as does a_b/,
    ],
    [
      "an enum constant whose sign is unknown",
      "enum bad { LESS = -1 }; struct row { enum bad field; }; TABLE(t, struct row);",
      /enum bad, constant LESS/,
    ],
    [
      "an enum and a struct of one name",
      "enum row { ONE }; struct Row { enum row field; }; TABLE(t, struct Row);",
      /enum row would become Row, which is taken/,
    ],
  ];
  for (const [what, source, message] of cases) {
    test(what, () => {
      const made = generate(join(folder, "refused.ts"), compile("refused", `${prelude}${source}`));
      assert.equal(made.status, 1);
      assert.match(made.stderr, message);
    });
  }

  test("one struct name with two shapes, naming both objects", () => {
    const first = compile("first", `${prelude}struct row { __u32 a; }; TABLE(one, struct row);`);
    const second = compile("second", `${prelude}struct row { __u64 a; }; TABLE(two, struct row);`);
    const made = generate(join(folder, "refused.ts"), first, second);
    assert.equal(made.status, 1);
    assert.match(made.stderr, /struct row differs between \S+first\.o and \S+second\.o/);
  });

  test("one map name with two shapes", () => {
    const first = compile("first", `${prelude}TABLE(rows, __u32);`);
    const second = compile("second", `${prelude}TABLE(rows, __u64);`);
    const made = generate(join(folder, "refused.ts"), first, second);
    assert.equal(made.status, 1);
    assert.match(made.stderr, /map rows differs between/);
  });

  test("a file that is no object, and an object without BTF", () => {
    const text = join(folder, "text.o");
    writeFileSync(text, "hello");
    assert.match(generate(join(folder, "refused.ts"), text).stderr, /text\.o is not an ELF object/);
    const plain = join(folder, "plain.o");
    execFileSync("clang", ["-target", "bpf", "-x", "c", "-", "-c", "-o", plain], {
      input: "int x;",
    });
    assert.match(generate(join(folder, "refused.ts"), plain).stderr, /plain\.o has no BTF/);
  });
});

interface BpftoolMember {
  readonly name: string;
  readonly bits_offset: number;
}

function summary(map: MapLayout | undefined): readonly unknown[] {
  return [map?.name, map?.type, map?.keySize, map?.valueSize, map?.maxEntries, map?.mapFlags];
}

function read(variable: GlobalLayout | undefined, view: DataView): unknown {
  const codec: Codec<unknown> | undefined = variable?.codec;
  return codec?.decode(view, variable?.offset ?? 0);
}

function sectionBytes(object: string, section: string): Buffer {
  const out = join(folder, "section.bin");
  execFileSync("llvm-objcopy", ["-O", "binary", `--only-section=${section}`, object, out]);
  return readFileSync(out);
}
