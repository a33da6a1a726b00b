import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { netnsPath } from "../../datapath/index.js";
import { SluiceError } from "../../operator/errors.js";
import { type KnownPod, podNamespace } from "../pods/cluster.js";

/** A plugin as a runtime executes it, in the network namespace of the node. */
export interface Plugin {
  readonly name: string;
  readonly folder: string;
  /** With its `type`, the program's name. */
  readonly config: { readonly type: string; readonly [field: string]: unknown };
}

/** What a runtime says of a pod. */
export interface CniPod extends KnownPod {
  /** Name of its network namespace. */
  readonly namespace: string;
  readonly containerId: string;
}

export interface CniResult {
  readonly ips: readonly string[];
  /** From before the plugin is started until it has ended. */
  readonly timeMs: number;
}

export function sluicePlugin(folder: string): Plugin {
  return { name: "Sluice", folder, config: { type: "sluice" } };
}

/** Of Debian's containernetworking-plugins. */
export const referenceFolder = "/usr/lib/cni";

/** The reference plugins: a bridge, and addresses of both families from files. */
export function bridgePlugin(dataDir: string): Plugin {
  if (!existsSync(join(referenceFolder, "bridge"))) {
    throw new SluiceError("SLUICE_BENCH", `there is no ${referenceFolder}/bridge`, {
      remedy: "Install the package containernetworking-plugins",
    });
  }
  const ranges = ["10.245.0.0/16", "fd00:245::/64"].map((subnet) => [{ subnet }]);
  return {
    name: "bridge + host-local",
    folder: referenceFolder,
    config: {
      type: "bridge",
      bridge: "cni0",
      isGateway: true,
      ipam: { type: "host-local", dataDir, ranges },
    },
  };
}

/** @throws SluiceError SLUICE_BENCH when the plugin fails */
export async function callPlugin(
  { name, folder, config }: Plugin,
  command: "ADD" | "DEL",
  pod: CniPod,
): Promise<CniResult> {
  const input = JSON.stringify({ cniVersion: "1.0.0", name: "bench", ...config });
  const startMs = performance.now();
  const child = spawn(join(folder, config.type), [], {
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: pod.containerId,
      CNI_NETNS: netnsPath(pod.namespace),
      CNI_IFNAME: "eth0",
      CNI_PATH: folder,
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${podNamespace};K8S_POD_NAME=${pod.name};K8S_POD_UID=${pod.uid}`,
    },
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.on("error", () => undefined).end(input);
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => void (text += part));
  const status = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  const timeMs = performance.now() - startMs;
  if (status !== 0) {
    throw new SluiceError("SLUICE_BENCH", `${command} of ${name} failed: ${text}`, {
      remedy: "Read what it said above",
    });
  }
  const { ips = [] } = (text === "" ? {} : JSON.parse(text)) as {
    readonly ips?: readonly { readonly address: string }[];
  };
  return { ips: ips.map(({ address }) => address.replace(/\/.*/, "")), timeMs };
}
