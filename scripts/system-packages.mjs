// @ts-check
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { installedGos } from "./cluster-tools/go.mjs";
import { findProgram } from "./run.mjs";

/** @typedef {"build" | "start" | "test" | "bench"} Purpose */

/**
 * @typedef {object} SystemPackage
 * @property {string} debian name in Debian
 * @property {readonly string[]} [ubuntu] names in Ubuntu where they differ
 * @property {string} why
 * @property {() => boolean} isPresent
 * @property {readonly Purpose[]} purposes
 */

/** @type {readonly Purpose[]} */
const always = ["build", "start", "test", "bench"];

const program = (/** @type {string} */ name) => () => findProgram(name) !== undefined;
const file = (/** @type {string} */ path) => () => existsSync(path);

/** @type {readonly SystemPackage[]} */
const systemPackages = [
  { debian: "clang", why: "C to BPF", isPresent: program("clang"), purposes: always },
  { debian: "llvm", why: "llvm-strip", isPresent: program("llvm-strip"), purposes: always },
  { debian: "gcc", why: "test programs", isPresent: program("gcc"), purposes: always },
  {
    debian: "libc6-dev",
    why: "C and kernel headers",
    isPresent: () => existsSync("/usr/include/stdio.h") && existsSync("/usr/include/linux/bpf.h"),
    purposes: always,
  },
  {
    debian: "libbpf-dev",
    why: "BPF headers",
    isPresent: file("/usr/include/bpf/bpf_helpers.h"),
    purposes: always,
  },
  {
    debian: "libbpf1",
    why: "loads the programs",
    isPresent: () => hasLibrary("libbpf.so.1"),
    purposes: ["start", "test", "bench"],
  },
  {
    debian: "bpftool",
    ubuntu: ["linux-tools-common", "linux-tools-generic"],
    why: "shows programs and maps",
    // Ubuntu's is a wrapper that fails when the tools of the running kernel are missing.
    isPresent: () => spawnSync(findProgram("bpftool") ?? "bpftool", ["version"]).status === 0,
    purposes: ["start", "test", "bench"],
  },
  {
    debian: "iproute2",
    why: "network namespaces and veths",
    isPresent: program("ip"),
    purposes: ["start", "test", "bench"],
  },
  {
    debian: "ethtool",
    why: "queues and offloads of interfaces",
    isPresent: program("ethtool"),
    purposes: ["start", "test", "bench"],
  },
  {
    debian: "tcpdump",
    why: "packet captures",
    isPresent: program("tcpdump"),
    purposes: ["test", "bench"],
  },
  {
    debian: "nftables",
    why: "measured beside Sluice",
    isPresent: program("nft"),
    purposes: ["test", "bench"],
  },
  {
    debian: "iptables",
    why: "measured beside Sluice",
    isPresent: program("iptables"),
    purposes: ["test", "bench"],
  },
  {
    debian: "ipset",
    why: "measured beside Sluice",
    isPresent: program("ipset"),
    purposes: ["test", "bench"],
  },
  {
    debian: "xdp-tools",
    why: "xdp-filter, measured beside Sluice",
    isPresent: program("xdp-filter"),
    purposes: ["test", "bench"],
  },
  {
    debian: "golang-go",
    why: "builds etcd, kube-apiserver and the like",
    isPresent: () => installedGos().length > 0,
    purposes: ["test", "bench"],
  },
  {
    debian: "openssl",
    why: "certificates of the API server",
    isPresent: program("openssl"),
    purposes: ["test", "bench"],
  },
  {
    debian: "containerd",
    why: "runs pods through the CNI plugin",
    isPresent: program("containerd"),
    purposes: ["test"],
  },
  {
    debian: "runc",
    why: "runs their containers",
    isPresent: program("runc"),
    purposes: ["test"],
  },
  {
    debian: "containernetworking-plugins",
    why: "containerd's loopback; measured beside Sluice",
    isPresent: file("/usr/lib/cni/loopback"),
    purposes: ["test", "bench"],
  },
  {
    debian: "qemu-system-x86",
    why: "boots other kernels, on x64",
    isPresent: () => process.arch !== "x64" || program("qemu-system-x86_64")(),
    purposes: ["test"],
  },
  {
    debian: "busybox-static",
    why: "the shell in those kernels",
    isPresent: program("busybox"),
    purposes: ["test"],
  },
  {
    debian: "cpio",
    why: "the initrd of those kernels",
    isPresent: program("cpio"),
    purposes: ["test"],
  },
];

/** @param {string} name */
function hasLibrary(name) {
  const folders = ["/lib", "/usr/lib", "/usr/local/lib", "/lib64", "/usr/lib64"];
  const multiarch = ["/lib", "/usr/lib"].flatMap((folder) =>
    existsSync(folder)
      ? readdirSync(folder)
          .filter((entry) => entry.includes("-linux-"))
          .map((entry) => `${folder}/${entry}`)
      : [],
  );
  return [...folders, ...multiarch].some((folder) => existsSync(`${folder}/${name}`));
}

/**
 * Packages that a purpose needs and this machine lacks.
 *
 * @param {Purpose} purpose
 */
export function missingPackages(purpose) {
  return systemPackages.filter(
    ({ purposes, isPresent }) => purposes.includes(purpose) && !isPresent(),
  );
}

/** Whether this is Debian, Ubuntu or something else, from os-release(5). */
export function distribution() {
  const text = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  const ids = [...text.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)"?$/gm)].flatMap(([, id = ""]) =>
    id.split(" "),
  );
  if (ids.includes("ubuntu")) return "ubuntu";
  return ids.includes("debian") ? "debian" : "other";
}

/**
 * Names for apt.
 *
 * @param {readonly SystemPackage[]} packages
 */
export function packageNames(packages) {
  const isUbuntu = distribution() === "ubuntu";
  return packages.flatMap(({ debian, ubuntu }) => (isUbuntu && ubuntu ? ubuntu : [debian]));
}
