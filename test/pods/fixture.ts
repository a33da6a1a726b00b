/** Three pods of a node for test runs: interfaces that exist in a namespace, and packets between them. */

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { defaultBpffs, type IfIndex } from "../../datapath/index.js";
import { createNamespace, type Namespace } from "../support/netns.js";
import { eth, ipv4, ipv6, type Layer, packet } from "../support/packets.js";
import { GATEWAY_MAC, type Met, openPods, type Pods } from "./harness.js";

/** MAC address of each host's end; frames of pods go to it. */
const HOST_MAC = GATEWAY_MAC;

export interface Fixture {
  readonly node: Namespace;
  readonly pods: Pods;
  /** Where their tables are pinned. */
  readonly pinRoot: string;
  /** An interface of the node that is no pod's. */
  readonly uplink: IfIndex;
  readonly gateway: string;
  /** A frame's head as the pod sends it; or with another source. */
  eth(pod: string, source?: string, etherType?: number): Layer;
  mac(pod: string): string;
  address(pod: string, family: 4 | 6): string;
  packetOf(
    from: string,
    to: string,
    family: 4 | 6,
    transport: Layer,
    fields?: { readonly hops?: number },
  ): Buffer;
  /** What a pod sends. */
  out(pod: string, frame: Uint8Array): Met;
  /** The same, and nobody looks at what it met with, which is quicker. */
  send(pod: string, frame: Uint8Array): void;
  /** What the stack hands to a pod: of the node itself, or forwarded from another interface. */
  in(pod: string, frame: Uint8Array, from?: string): Met;
  /** What arrives at an interface from outside of the node. */
  arrive(frame: Uint8Array, at?: string): Met;
  addPod(name: string): void;
  close(): Promise<void>;
}

export async function openFixture(): Promise<Fixture> {
  const cleanups: (() => void | Promise<void>)[] = [];
  const close = async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  };
  try {
    const node = createNamespace("node", (work) => void cleanups.push(work));
    const pinRoot = mkdtempSync(join(defaultBpffs, `slt-${process.pid}-pods-`));
    cleanups.push(() => rmSync(pinRoot, { recursive: true }));
    const pods = await openPods(pinRoot);
    cleanups.push(() => pods.close());
    const addInterface = (name: string): IfIndex => {
      node.run(
        "ip",
        "link",
        "add",
        "name",
        name,
        "address",
        HOST_MAC,
        "type",
        "veth",
        "peer",
        "name",
        `${name}-peer`,
      );
      return node.indexOf(name);
    };
    let count = 0;
    const addPod = (name: string) => {
      const number = ++count;
      pods.add({
        name,
        index: addInterface(name),
        mac: `02:00:00:00:01:0${number}`,
        ipv4: `10.1.0.${number}`,
        ipv6: `fd00::${number}`,
      });
    };
    const uplink = addInterface("uplink");
    addInterface("tunnel");
    for (const name of ["a", "b", "c"]) addPod(name);
    const address = (name: string, family: 4 | 6) =>
      family === 4 ? pods.pod(name).ipv4 : pods.pod(name).ipv6;
    const head: Fixture["eth"] = (name, source = pods.pod(name).mac, etherType) =>
      eth({ source, destination: HOST_MAC, ...(etherType === undefined ? {} : { etherType }) });
    return {
      node,
      pods,
      pinRoot,
      uplink,
      gateway: GATEWAY_MAC,
      eth: head,
      mac: (name) => pods.pod(name).mac,
      address,
      packetOf(from, to, family, transport, { hops = 64 } = {}) {
        const [source, destination] = [address(from, family), address(to, family)];
        const header =
          family === 4
            ? ipv4({ source, destination, ttl: hops })
            : ipv6({ source, destination, hopLimit: hops });
        return packet(head(from), header, transport);
      },
      out: (name, frame) => pods.run(node, "podOut", frame, { ifIndex: pods.pod(name).index }),
      send: (name, frame) =>
        void pods.test(node, "podOut", frame, { ifIndex: pods.pod(name).index }),
      in: (name, frame, from) =>
        pods.run(node, "podIn", frame, {
          ifIndex: pods.pod(name).index,
          ...(from === undefined ? {} : { ingressIfIndex: node.indexOf(from) }),
        }),
      arrive: (frame, at = "uplink") =>
        pods.run(node, "podArrive", frame, { ifIndex: node.indexOf(at) }),
      addPod,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
