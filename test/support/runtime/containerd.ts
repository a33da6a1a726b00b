import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ServerProcess, untilReady } from "../cluster/process.js";
import { imageName, writeImage } from "./image.js";
import type { Machine } from "./machine.js";

export const containerdEndpoint = "unix:///run/containerd/containerd.sock";

export interface ContainerdFolders {
  /** For its own files. */
  readonly folder: string;
  readonly binFolder: string;
  readonly configFolder: string;
}

export interface Containerd {
  readonly process: ServerProcess;
  /** Runs `ctr` in the namespace of the kubelet's containers. */
  ctr(...args: readonly string[]): Promise<string>;
  /** Network namespace of a running container: a path that this process finds. */
  networkOf(containerId: string): Promise<string>;
}

/** Starts Debian's containerd as its package does, but for where the plugin is; the image of the tests is in it. */
export async function startContainerd(
  machine: Machine,
  { folder, binFolder, configFolder }: ContainerdFolders,
): Promise<Containerd> {
  mkdirSync(configFolder, { recursive: true });
  const config = join(folder, "containerd.toml");
  writeFileSync(config, formatConfig(folder, binFolder, configFolder));
  const process = machine.start("containerd", "--config", config);
  const ctr = (...args: readonly string[]) => machine.run("ctr", "--namespace", "k8s.io", ...args);
  await untilReady("containerd", process, async () => (await ctr("version")) !== "");
  await ctr("images", "import", "--snapshotter", "native", writeImage(folder));
  return {
    process,
    ctr,
    async networkOf(containerId) {
      const rows = (await ctr("tasks", "list")).split("\n").map((row) => row.split(/\s+/));
      const pid = rows.find(([id]) => id === containerId)?.[1];
      if (pid === undefined) throw new Error(`container ${containerId} does not run`);
      return machine.path(`/proc/${pid}/ns/net`);
    },
  };
}

/** So that it works on every file system and in a container, and leaves no profile in the kernel. */
function formatConfig(folder: string, binFolder: string, configFolder: string): string {
  return `
version = 2
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[plugins."io.containerd.internal.v1.opt"]
  path = ${JSON.stringify(join(folder, "opt"))}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${imageName}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = ${JSON.stringify(binFolder)}
    conf_dir = ${JSON.stringify(configFolder)}
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
`;
}
