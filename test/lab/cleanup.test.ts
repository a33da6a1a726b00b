import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { identify, isAlive } from "../../operator/lab/processes.js";
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

let folder: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-lab-cleanup-"));
  writeFileSync(join(folder, "policy.yaml"), policy);
});

after(() => rmSync(folder, { recursive: true }));

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  test(`${signal} under full traffic leaves nothing`, async () => {
    const lab = runLab(["--folder", folder]);
    await lab.says("floods/udp Drop");
    const numbers = namespaceNumbers(lab.pid);
    assert.equal(numbers.length, 6);
    lab.child.kill(signal);
    assert.equal(await lab.exited, 0, lab.output());
    assert.deepEqual(tracesOf(lab.pid, numbers), []);
  });
}

test("a signal while the lab is being made leaves nothing", async () => {
  const lab = runLab(["--folder", folder]);
  await lab.says("starting");
  lab.child.kill("SIGINT");
  assert.equal(await lab.exited, 0, lab.output());
  assert.deepEqual(tracesOf(lab.pid, []), []);
});

test("a closed output ends the lab and leaves nothing", async () => {
  const lab = runLab(["--folder", folder]);
  await lab.says("floods/udp Drop");
  const numbers = namespaceNumbers(lab.pid);
  lab.child.stdout?.destroy();
  assert.equal(await lab.exited, 0, lab.output());
  assert.deepEqual(tracesOf(lab.pid, numbers), []);
});

test("a failed start says why, and leaves nothing", async () => {
  const lab = runLab(["--folder", join(folder, "absent")]);
  assert.equal(await lab.exited, 1);
  assert.match(lab.output(), /SLUICE_LAB_FLAGS: there is no folder .*absent/);
  assert.deepEqual(tracesOf(lab.pid, []), []);
});

test("the processes of a killed lab end with it, and the next lab sweeps the rest", async () => {
  const killed = runLab(["--folder", folder]);
  await killed.says("floods/udp Drop");
  const numbers = namespaceNumbers(killed.pid);
  killed.child.kill("SIGKILL");
  assert.equal(await killed.exited, "SIGKILL");
  assert.notDeepEqual(tracesOf(killed.pid, numbers), [], "there is something to sweep");

  const next = runLab(["--folder", folder]);
  await next.says("floods/udp Drop");
  assert.match(next.output(), new RegExp(`removed what the killed lab ${killed.pid} had left`));
  assert.deepEqual(tracesOf(killed.pid, numbers), []);

  // The sweep takes nothing from a lab that runs.
  const third = runLab(["--folder", folder]);
  await third.says("floods/udp Drop");
  const ofNext = namespaceNumbers(next.pid);
  const ofThird = namespaceNumbers(third.pid);
  assert.equal(ofNext.length, 6);
  for (const lab of [next, third]) lab.child.kill("SIGTERM");
  assert.deepEqual(await Promise.all([next.exited, third.exited]), [0, 0]);
  assert.deepEqual(tracesOf(next.pid, ofNext), []);
  assert.deepEqual(tracesOf(third.pid, ofThird), []);
});

test("a process that has a killed lab's number is not taken for the lab", async () => {
  const stale = `/run/sluice-lab/${process.pid}`;
  const self = identify(process.pid);
  assert.ok(self !== undefined && isAlive(self));
  const lab = { ...self, startTime: "1" };
  mkdirSync(stale, { recursive: true });
  writeFileSync(
    join(stale, "lab.json"),
    JSON.stringify({ lab, namespaces: [], pinFolder: "/sys/fs/bpf/absent", processes: [lab] }),
  );
  const next = runLab(["--folder", folder, "--seconds", "1"]);
  assert.equal(await next.exited, 0, next.output());
  assert.match(next.output(), new RegExp(`removed what the killed lab ${process.pid} had left`));
});
