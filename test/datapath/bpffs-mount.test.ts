import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../operator/health/mount-bpffs.js", import.meta.url));

/**
 * Runs shell lines in a mount namespace of their own, with two views of one folder that hand mounts on to each other:
 * $NODE, and $POD as a container with mountPropagation Bidirectional sees it.
 */
function runBetweenNodeAndPod(lines: readonly string[]): SpawnSyncReturns<string> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-mount-"));
  const [node, pod] = [join(folder, "node"), join(folder, "pod")];
  try {
    mkdirSync(node);
    mkdirSync(pod);
    const script = [
      "set -e",
      "mount -t tmpfs none $NODE; mount --make-shared $NODE; mkdir $NODE/bpf",
      "mount --bind $NODE/bpf $POD",
      ...lines,
    ].join("\n");
    return spawnSync("unshare", ["--mount", "sh", "-c", script], {
      encoding: "utf8",
      env: { ...process.env, NODE: node, POD: pod, MOUNT: `${process.execPath} ${program}` },
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("a bpffs that the init container mounts is there on the node, and is mounted once", () => {
  const { status, stdout, stderr } = runBetweenNodeAndPod([
    "$MOUNT $POD",
    "stat -f -c %T $NODE/bpf",
    "mkdir $NODE/bpf/kept",
    "$MOUNT $POD",
    "test -d $POD/kept && echo kept",
    'grep -c " $NODE/bpf " /proc/self/mounts',
    'grep " $NODE/bpf " /proc/self/mounts | grep -o nosuid,nodev,noexec',
  ]);
  assert.equal(status, 0, stderr);
  const [first, type, second, ...rest] = stdout.trimEnd().split("\n");
  assert.match(first ?? "", /is a BPF file system now$/);
  assert.equal(type, "bpf_fs");
  assert.match(second ?? "", /was a BPF file system already$/);
  assert.deepEqual(rest, ["kept", "1", "nosuid,nodev,noexec"]);
});

test("without the right to mount it names the capability, and with no folder the folder", () => {
  const { status, stderr } = runBetweenNodeAndPod([
    "! setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin $MOUNT $POD",
    "! $MOUNT $POD/absent",
    '! grep -q " $NODE/bpf " /proc/self/mounts',
  ]);
  assert.equal(status, 0, stderr);
  assert.match(stderr, /cannot mount a BPF file system on \S+pod: .*CAP_SYS_ADMIN.*/);
  assert.match(stderr, /SLUICE_NO_CAPABILITY/);
  assert.match(stderr, /pod\/absent cannot be looked at: ENOENT/);
});
