/**
 * The compiled objects on Debian's kernels, in qemu: that the verifier takes them, at what cost, and
 * that the programs judge as they do on the running kernel (docs/kernels.md).
 */

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { before, describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { Trace } from "../../datapath/generated/layout.js";
import { BpfObject } from "../../datapath/index.js";
import { loadObject, objectPath } from "../support/objects.js";
import {
  fillTables,
  frameFile,
  loadInGuest,
  objectFile,
  type PacketRun,
  parseReport,
  type Report,
  reportRelease,
  reportTrace,
  runPacket,
} from "./checks.js";
import { fetchKernel, findKernel, type KernelPackage } from "./debian-kernel.js";
import { edgeTables, judgedRuns, tracedRun, tracedVerdict, unjudgedRuns } from "./edge-policy.js";
import { boot } from "./guest.js";
import { judgedPodRuns, podTables, unjudgedPodRuns } from "./pod-policy.js";

const SERIES = ["6.1", "6.12"] as const;

/** The kernel gives up at 1,000,000; newer kernels count more for the same program. */
const MAX_VERIFIED = 700_000;

const root = fileURLToPath(new URL("../../../", import.meta.url));
const verifiedInstructions = join(root, "dist/bin/verified-instructions");
const TABLES = "/tables";
const runsBefore = [...unjudgedRuns, ...unjudgedPodRuns];
const runsUnder = [...judgedRuns, ...judgedPodRuns];
const runs = [...runsBefore, ...runsUnder, tracedRun];

/** Every object that Sluice or its examples load, with its programs. */
const objects: ReadonlyMap<string, readonly string[]> = new Map(
  ["datapath/bpf", "examples/programs", "operator/lab"]
    .flatMap((folder) => readdirSync(join(root, folder)))
    .filter((file) => file.endsWith(".bpf.c"))
    .map((file) => basename(file, ".bpf.c"))
    .map((name) => [name, programsOf(name)] as const)
    .filter(([, programs]) => programs.length > 0),
);

function programsOf(name: string): readonly string[] {
  const object = BpfObject.open(objectPath(name));
  try {
    return [...object.programs.keys()];
  } finally {
    object.close();
  }
}

async function bootAndReport(kernel: KernelPackage, tables: readonly string[]): Promise<Report> {
  const script = [
    reportRelease,
    ...[...objects.keys()].flatMap(loadInGuest),
    ...runsBefore.map(runPacket),
    fillTables(TABLES),
    ...runsUnder.map(runPacket),
    runPacket(tracedRun),
    reportTrace,
  ];
  const files = new Map<string, string | Uint8Array>([[TABLES, `${tables.join("\n")}\n`]]);
  for (const name of objects.keys()) files.set(objectFile(name), readFileSync(objectPath(name)));
  for (const { name, frame } of runs) files.set(frameFile(name), frame);
  const folder = mkdtempSync(join(tmpdir(), "sluice-kernels-"));
  try {
    const programs = ["bpftool", verifiedInstructions];
    const image = fetchKernel(kernel);
    return parseReport(await boot({ kernel: image, programs, files, script }, folder));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function assertReturned(report: Report, { name, returns }: PacketRun): void {
  const said = report.runs.get(name) ?? "";
  assert.match(said, /^\{.*\}$/, `bpftool said of the packet ${name}: ${said}`);
  const { retval } = JSON.parse(said) as { retval?: number };
  assert.equal(retval, returns, `what the program returned for the packet ${name}`);
}

function assertCheap(context: TestContext, verified: ReadonlyMap<string, number>): void {
  for (const [program, count] of verified) {
    context.diagnostic(`${program}: ${count.toLocaleString("en")} instructions`);
    assert.ok(count > 0 && count < MAX_VERIFIED, `${program}: ${count} instructions`);
  }
}

/** Why a series cannot be tried here; undefined when it can. */
function obstacle(series: string, kernel: KernelPackage | undefined): string | undefined {
  if (process.arch !== "x64") return `this machine is ${process.arch}, and the kernels are x64's`;
  if (kernel === undefined) return `apt offers no linux-image-${series}…-cloud-amd64 here`;
  return undefined;
}

it("the objects cost the running kernel's verifier well below its limit", async (context) => {
  const verified = new Map<string, number>();
  for (const [name, programs] of objects) {
    const object = await loadObject(context, name);
    for (const program of programs) {
      const taken = object.takeProgram(program);
      verified.set(`${name}/${program}`, taken.info().verifiedInstructions);
      taken.close();
    }
  }
  assertCheap(context, verified);
});

for (const series of SERIES) {
  const kernel = process.arch === "x64" ? findKernel(series) : undefined;
  const why = obstacle(series, kernel);
  if (why !== undefined) console.error(`NOT TRIED on kernel ${series}: ${why}`);
  describe(`the objects on Debian's kernel ${kernel?.release ?? series}`, { skip: why }, () => {
    let tables: readonly string[];
    let report: Report;
    before(async () => {
      if (kernel === undefined) return;
      tables = [...(await edgeTables()), ...(await podTables())];
      report = await bootAndReport(kernel, tables);
    });

    it("is the kernel that booted", () => {
      assert.equal(report.release, kernel?.release);
    });

    for (const name of objects.keys()) {
      it(`loads ${name}`, () => assert.equal(report.loads.get(name), ""));
    }

    it("costs the verifier well below its limit", (context: TestContext) => {
      const expected = [...objects].flatMap(([object, programs]) =>
        programs.map((program) => `${object}/${program}`),
      );
      assert.deepEqual([...report.verified.keys()].sort(), expected.sort());
      assertCheap(context, report.verified);
    });

    for (const run of runsBefore) {
      it(`before any policy: ${run.name}`, () => assertReturned(report, run));
    }

    it("takes the rows of a policy", () => {
      assert.equal(report.tables, `processed ${tables.length} commands`);
    });

    for (const run of runsUnder) {
      it(`under the policy: ${run.name}`, () => assertReturned(report, run));
    }

    it("traces a packet to its rule", () => {
      assertReturned(report, tracedRun);
      const { value } = JSON.parse(report.trace) as { value: readonly string[] };
      const bytes = Uint8Array.from(value, Number);
      const { verdict, reason } = Trace.decode(new DataView(bytes.buffer), 0);
      assert.deepEqual({ verdict, reason }, tracedVerdict);
    });
  });
}
