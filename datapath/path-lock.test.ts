import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { SluiceError } from "./errors.js";
import { lockPath } from "./path-lock.js";

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-lock-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

test("a folder is locked once until it is released", () => {
  const lock = lockPath(folder);
  assert.ok(lock);
  assert.equal(lockPath(folder), undefined);
  lock.release();
  const again = lockPath(folder);
  assert.ok(again);
  again.release();
});

test("a killed process leaves no lock", async () => {
  const script = `
    import { lockPath } from ${JSON.stringify(new URL("path-lock.js", import.meta.url).href)};
    console.log(lockPath(${JSON.stringify(folder)}) === undefined ? "busy" : "locked");
    setInterval(() => {}, 1000);
  `;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [line] = (await once(holder.stdout, "data")) as [Buffer];
    assert.equal(line.toString(), "locked\n");
    assert.equal(lockPath(folder), undefined);
  } finally {
    holder.kill("SIGKILL");
  }
  await once(holder, "exit");
  const lock = lockPath(folder);
  assert.ok(lock);
  lock.release();
});

test("a path that is not there is an error, not a lock", () => {
  assert.throws(
    () => lockPath(join(folder, "absent")),
    (error: unknown) => error instanceof SluiceError && error.code === "SLUICE_SYSTEM_CALL",
  );
});
