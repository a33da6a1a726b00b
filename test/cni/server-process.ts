import { setTimeout as sleep } from "node:timers/promises";
import { AttachmentStore } from "../../operator/cni/attachment-store.js";
import { kernelPodLinks } from "../../operator/cni/kernel-pod-links.js";
import type { PodNetwork } from "../../operator/cni/pod-network.js";
import { startCniServer } from "../../operator/cni/server.js";
import { parseCidr } from "../../operator/model/cidr.js";

/** What a {@link startNode} process is started with. */
export interface ServerSettings {
  readonly socketPath: string;
  readonly stateFolder: string;
  readonly podCidrs: readonly string[];
  /** How long the policy of a pod takes, at most. */
  readonly policyMs: number;
  /** The policy of pods of this name never comes. */
  readonly refusedPod: string;
}

/** Starts a server in the network namespace of this process, and says so to the parent. */
async function serve(settings: ServerSettings): Promise<void> {
  const { policyMs, refusedPod } = settings;
  const attached = new Set<string>();
  const network: PodNetwork = {
    async attach({ hostName, pod }) {
      await sleep(((1 + Math.random()) / 2) * policyMs);
      if (pod.name === refusedPod) throw new Error("no policy for this one");
      attached.add(hostName);
    },
    async detach({ hostName }) {
      attached.delete(hostName);
    },
    async check({ hostName }) {
      return attached.has(hostName) ? undefined : "its policy is not in the kernel";
    },
  };
  const write = (fields: object, message: string) => console.error(message, JSON.stringify(fields));
  const server = await startCniServer({
    socketPath: settings.socketPath,
    store: new AttachmentStore(settings.stateFolder),
    links: kernelPodLinks(),
    network,
    log: { info: () => {}, warn: () => {}, error: write },
    notReady: () => undefined,
    mtuBytes: () => 1500,
  });
  server.attachments.setPodCidrs(settings.podCidrs.map((text) => parseCidr(text)));
  process.on("message", ({ podCidrs }: { readonly podCidrs?: readonly string[] }) => {
    if (podCidrs !== undefined) {
      server.attachments.setPodCidrs(podCidrs.map((text) => parseCidr(text)));
    }
    const { attachments, pools } = server.attachments.state();
    process.send?.({ attachments, used: pools.map(({ used }) => used), attached: attached.size });
  });
  process.send?.("ready");
}

await serve(JSON.parse(process.argv[2] ?? "{}") as ServerSettings);
