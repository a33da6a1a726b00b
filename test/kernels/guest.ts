/** A kernel in qemu with an initrd that runs a script and ends. */

import { execFileSync, spawn } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";

export interface Guest {
  /** Path of the kernel's image. */
  readonly kernel: string;
  /** Programs of this machine, found in PATH or named by path; their libraries come along. */
  readonly programs: readonly string[];
  /** Contents of other files by absolute path in the guest. */
  readonly files: ReadonlyMap<string, string | Uint8Array>;
  /** Lines for busybox's shell; what they print is the report. */
  readonly script: readonly string[];
}

/** Everything a boot may take; a kernel that hangs is ended with its emulator. */
const BOOT_MS = 120_000;
const MEMORY_MIB = 1024;

const PROLOGUE = [
  "#!/bin/busybox sh",
  "/bin/busybox --install -s /bin",
  "mount -t devtmpfs dev /dev",
  "mount -t proc proc /proc",
  "mount -t sysfs sys /sys",
  "mount -t bpf bpf /sys/fs/bpf",
  "exec > /dev/ttyS0 2>&1",
];

/**
 * Boots the guest and resolves with the lines that its script printed.
 *
 * @param folder for the files of this guest; the caller removes it
 * @throws Error with what the kernel and the script said when it did not come to the end
 */
export async function boot(guest: Guest, folder: string): Promise<readonly string[]> {
  const initrd = join(folder, "initrd.gz");
  const consoleLog = join(folder, "console.log");
  writeFileSync(initrd, buildInitrd(guest, join(folder, "root")));
  const words = [
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"],
    // Not KVM: it is absent or broken on many virtual machines.
    ...["-accel", "tcg", "-cpu", "max", "-m", `${MEMORY_MIB}`],
    ...["-serial", "stdio", "-serial", `file:${consoleLog}`],
    ...["-kernel", guest.kernel, "-initrd", initrd, "-append", "console=ttyS1 panic=-1"],
  ];
  const { status, output } = await run("qemu-system-x86_64", words);
  const lines = output.split("\n").map((line) => line.trim());
  const end = lines.lastIndexOf("end of report");
  if (end >= 0) return lines.slice(0, end);
  const said = readFileSync(consoleLog, "utf8").split("\n").slice(-30).join("\n");
  throw new Error(`the guest did not end its report (${status}):\n${said}\n${output}`);
}

function buildInitrd({ programs, files, script }: Guest, root: string): Buffer {
  for (const folder of ["bin", "dev", "proc", "sys", "tmp"]) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  const place = (path: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    return join(root, path);
  };
  for (const program of ["busybox", ...programs]) {
    const path = execFileSync("which", [program], { encoding: "utf8", env: withSbin() }).trim();
    copyFileSync(path, join(root, "bin", program.slice(program.lastIndexOf("/") + 1)));
    for (const library of librariesOf(path)) copyFileSync(library, place(library));
  }
  for (const [path, content] of files) writeFileSync(place(path), content);
  // The serial line must drain: power off does not wait for it.
  const lines = [...PROLOGUE, ...script, "echo end of report", "sleep 1", "poweroff -f"];
  writeFileSync(join(root, "init"), `${lines.join("\n")}\n`);
  chmodSync(join(root, "init"), 0o755);
  const names = execFileSync("find", [".", "-print0"], { cwd: root });
  const archive = execFileSync("cpio", ["--quiet", "-0", "-o", "-H", "newc", "-R", "0:0"], {
    cwd: root,
    input: names,
    maxBuffer: 1 << 30,
  });
  return gzipSync(archive, { level: 1 });
}

function withSbin(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin` };
}

/** Shared libraries and loader of a program; none when it is static. */
function librariesOf(path: string): readonly string[] {
  const header = readFileSync(path).subarray(0, 1 << 16);
  if (!header.includes("ld-linux")) return [];
  return execFileSync("ldd", [path], { encoding: "utf8" }).match(/\/[^ ]+/g) ?? [];
}

interface Ended {
  /** Exit status or signal, in words. */
  readonly status: string;
  readonly output: string;
}

function run(program: string, words: readonly string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    const collect = (chunk: Buffer) => {
      output += chunk.toString("latin1");
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    const timer = setTimeout(() => child.kill("SIGKILL"), BOOT_MS);
    // A test run that is stopped takes its emulator with it.
    const stop = () => child.kill("SIGKILL");
    process.once("exit", stop);
    child.on("error", reject);
    child.on("close", (status, signal) => {
      clearTimeout(timer);
      process.off("exit", stop);
      const how = signal === null ? `exit status ${status}` : `${signal} after ${BOOT_MS} ms`;
      resolve({ status: how, output });
    });
  });
}
