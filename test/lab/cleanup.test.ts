import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { sweepStaleLabs } from "../../operator/lab/lab-folder.js";
import { identify } from "../../operator/lab/processes.js";
import { namespaceNumbers, runLab, tracesOf } from "./lab-process.js";

const policy = `
apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: floods}
spec:
  priority: 10
  ingress:
  - {name: udp, action: Drop, protocols: [{udp: {}}]}
`;
/** What the lab prints when the flood is dropped. */
const underAttack = "floods/udp Drop";

let folder: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-lab-cleanup-"));
  writeFileSync(join(folder, "policy.yaml"), policy);
});

after(() => rmSync(folder, { recursive: true }));

test("Ctrl-C under full traffic leaves nothing", async (t) => {
  const lab = runLab(t, ["--folder", folder]);
  await lab.says(underAttack);
  const numbers = namespaceNumbers(lab.pid);
  assert.equal(numbers.length, 10);
  lab.child.kill("SIGINT");
  assert.equal(await lab.exited, 0, lab.output());
  assert.deepEqual(tracesOf(lab.pid, numbers), []);
});

for (const [signal, milliseconds] of [
  ["SIGTERM", 200],
  ["SIGHUP", 1500],
] as const) {
  test(`${signal} while the lab is being made leaves nothing`, async (t) => {
    const lab = runLab(t, ["--folder", folder]);
    await lab.says("starting");
    await sleep(milliseconds);
    const numbers = namespaceNumbers(lab.pid);
    lab.child.kill(signal);
    assert.equal(await lab.exited, 0, lab.output());
    assert.deepEqual(tracesOf(lab.pid, numbers), []);
  });
}

test("a closed output ends the lab and leaves nothing", async (t) => {
  const lab = runLab(t, ["--folder", folder]);
  await lab.says(underAttack);
  const numbers = namespaceNumbers(lab.pid);
  lab.child.stdout?.destroy();
  assert.equal(await lab.exited, 0, lab.output());
  assert.deepEqual(tracesOf(lab.pid, numbers), []);
});

test("a lab that cannot be started says why, and leaves nothing", async (t) => {
  const lab = runLab(t, ["--folder", join(folder, "absent")]);
  assert.equal(await lab.exited, 1);
  assert.match(lab.output(), /SLUICE_LAB_FLAGS: there is no folder .*absent/);
  assert.deepEqual(tracesOf(lab.pid, []), []);
});

test("the processes of a killed lab end with it, and the next lab sweeps the rest", async (t) => {
  const killed = runLab(t, ["--folder", folder]);
  await killed.says(underAttack);
  const numbers = namespaceNumbers(killed.pid);
  killed.child.kill("SIGKILL");
  assert.equal(await killed.exited, "SIGKILL");
  for (let round = 0; round < 100 && hasProcess(killed.pid, numbers); round++) await sleep(20);
  assert.ok(!hasProcess(killed.pid, numbers), "its processes have ended");
  assert.notDeepEqual(tracesOf(killed.pid, numbers), [], "there is something to sweep");

  const next = runLab(t, ["--folder", folder]);
  await next.says("starting");
  assert.deepEqual(tracesOf(killed.pid, numbers), []);

  await next.says(underAttack);
  await sweepStaleLabs();
  const ofNext = namespaceNumbers(next.pid);
  assert.equal(ofNext.length, 10, "a lab that runs is not swept");
  next.child.kill("SIGTERM");
  assert.equal(await next.exited, 0, next.output());
  assert.deepEqual(tracesOf(next.pid, ofNext), []);
});

function hasProcess(pid: number, numbers: readonly number[]): boolean {
  return tracesOf(pid, numbers).some((trace) => trace.startsWith("process "));
}

test("a process with the number of a killed lab is neither taken for it nor ended", async () => {
  const stale = `/run/sluice-lab/${process.pid}`;
  const other = { pid: process.pid, startTime: "1" };
  const record = { lab: other, namespaces: [], pinFolder: join(stale, "pins"), processes: [other] };
  mkdirSync(stale, { recursive: true });
  writeFileSync(join(stale, "lab.json"), JSON.stringify(record));
  await sweepStaleLabs();
  assert.ok(!existsSync(stale));
  assert.notEqual(identify(process.pid), undefined);
});
