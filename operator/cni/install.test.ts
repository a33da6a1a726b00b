import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { installConfig, installPlugin, removeInstalled } from "./install.js";

function withFolders(body: (bin: string, config: string) => void): void {
  const folders = [0, 1].map(() => mkdtempSync(join(tmpdir(), "sluice-install-")));
  try {
    body(folders[0] ?? "", folders[1] ?? "");
  } finally {
    for (const folder of folders) rmSync(folder, { recursive: true });
  }
}

test("the plugin is executable, and replaced while an old one runs", () =>
  withFolders((bin) => {
    installPlugin(bin, "/run/sluice/cni.sock");
    assert.deepEqual(readdirSync(bin), ["sluice"]);
    const { ino, mode } = statSync(join(bin, "sluice"));
    assert.equal(mode & 0o777, 0o755);
    installPlugin(bin, "/run/other/cni.sock");
    // A new file, not the old one written over: that would be refused while it runs (ETXTBSY).
    assert.notEqual(statSync(join(bin, "sluice")).ino, ino);
    assert.equal(readFileSync(join(bin, "sluice.folder"), "utf8"), "/run/other\n");
    const answer = execFileSync(join(bin, "sluice"), { env: { CNI_COMMAND: "VERSION" } });
    assert.match(answer.toString(), /"supportedVersions":\["0\.1\.0".*"1\.1\.0"\]/);
    installPlugin(bin, "/run/sluice/cni.sock");
    assert.deepEqual(readdirSync(bin), ["sluice"]);
  }));

test("the configuration is written once, left alone when it says the same, and removed by a clean-up", () =>
  withFolders((bin, config) => {
    installPlugin(bin, "/run/other/cni.sock");
    assert.equal(installConfig(config), true);
    const path = join(config, "05-sluice.conflist");
    const before = statSync(path);
    assert.equal(installConfig(config), false);
    assert.deepEqual(statSync(path).ino, before.ino);
    const parsed = JSON.parse(readFileSync(path, "utf8")) as { plugins: readonly object[] };
    assert.deepEqual(parsed.plugins[0], {
      type: "sluice",
      capabilities: { ips: true, mac: true, portMappings: true, bandwidth: true },
    });
    assert.equal(installConfig(config, { mtu: 1450 }), true);
    assert.match(readFileSync(path, "utf8"), /"mtu": 1450/);
    removeInstalled(bin, config);
    removeInstalled(bin, config);
    assert.deepEqual([readdirSync(bin), readdirSync(config)], [[], []]);
  }));
