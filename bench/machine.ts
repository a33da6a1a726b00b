import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";

/** What a reader needs to compare runs; nothing that names the machine. */
export function machineFacts(): readonly (readonly [name: string, value: string])[] {
  return [
    ["date", new Date().toISOString().slice(0, 10)],
    ["commit", commit()],
    ["CPU", `${cpus().length} × ${cpus()[0]?.model.trim() ?? "unknown"}, ${virtualization()}`],
    ["memory", `${Math.round(totalmem() / 2 ** 30)} GiB`],
    ["kernel", `Linux ${/^[\d.]+/.exec(release())?.[0] ?? release()}`],
    ["mitigations", mitigations()],
    ["distribution", osRelease()],
    ["Node.js", process.versions.node],
    ["peers", peerVersions()],
  ];
}

/** First line of what a program prints; undefined when it cannot be run. */
function firstLine(program: string, ...args: readonly string[]): string | undefined {
  try {
    return execFileSync(program, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).split("\n")[0];
  } catch {
    return undefined;
  }
}

function commit(): string {
  const hash = firstLine("git", "rev-parse", "--short=12", "HEAD");
  if (hash === undefined) return "unknown";
  const sources = [".", ":(exclude)bench/RESULTS.md"];
  const changes = firstLine("git", "status", "--porcelain", "--untracked-files=no", ...sources);
  return changes === "" ? hash : `${hash} and changes`;
}

function virtualization(): string {
  const flags = /^flags\s*:.*\bhypervisor\b/m.test(read("/proc/cpuinfo"));
  return flags ? "virtual" : "bare metal";
}

/** What makes calls and returns dear: retpolines and return thunks. */
function mitigations(): string {
  const folder = "/sys/devices/system/cpu/vulnerabilities";
  const show = (name: string) => {
    const text = read(`${folder}/${name}`).trim();
    return text === "" || text === "Not affected" ? [] : [`${name}: ${text}`];
  };
  const shown = ["spectre_v2", "retbleed", "spec_rstack_overflow"].flatMap(show);
  return shown.length === 0 ? "none" : shown.join("; ");
}

function osRelease(): string {
  return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(read("/etc/os-release"))?.[1] ?? "unknown";
}

function peerVersions(): string {
  const versions = [
    packageVersion("xdp-tools"),
    packageVersion("containernetworking-plugins"),
    firstLine("nft", "--version"),
    firstLine("iptables", "--version"),
    firstLine("ipset", "--version"),
  ];
  return versions.flatMap((version) => version?.trim() ?? []).join(", ");
}

function packageVersion(name: string): string | undefined {
  return firstLine("dpkg-query", "--show", "--showformat=${Package} ${Version}", name);
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
