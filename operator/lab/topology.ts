import { execFileSync } from "node:child_process";
import { netnsPath } from "../../datapath/netns.js";
import { type LabPod, planPods } from "./pods.js";

/** One network namespace of the lab with its interface `eth0` on the bridge. */
export interface LabHost {
  /** `node1`, `client`, … */
  readonly name: string;
  /** As `ip netns` lists it. */
  readonly namespace: string;
  /** Path for nsenter. */
  readonly namespacePath: string;
  readonly ipv4: string;
  readonly ipv6: string;
  /** 02:00 and the IPv4 address, which the traffic programs rely on. */
  readonly mac: string;
}

/** Namespaces of a lab; a plan only, until {@link createTopology}. */
export interface Topology {
  /** Start of all namespace names. */
  readonly prefix: string;
  readonly bridgeNamespace: string;
  readonly nodes: readonly LabHost[];
  /** The outside client whose requests are legitimate. */
  readonly client: LabHost;
  /** Scans ports, and floods under other addresses. */
  readonly attacker: LabHost;
  readonly pods: readonly LabPod[];
}

/** TCP port of the web server on each node. */
export const webPort = 8080;
/** The rest of the world lives here, behind the attacker: floods come from this block. */
export const floodNetwork = "198.18.0.0/15";
/** Way out of the nodes, also behind the attacker, so that answers to forged sources leave. */
const gateway = "10.77.0.254";

/** @param prefix start of the namespaces' names, different for each lab of this machine */
export function planTopology(prefix: string): Topology {
  const host = (name: string, last: number): LabHost => {
    const namespace = `${prefix}-${name}`;
    return {
      name,
      namespace,
      namespacePath: netnsPath(namespace),
      ipv4: `10.77.0.${last}`,
      ipv6: `fd77::${last}`,
      mac: ["02:00:0a:4d:00", last.toString(16).padStart(2, "0")].join(":"),
    };
  };
  const nodes = [host("node1", 11), host("node2", 12), host("node3", 13)];
  return {
    prefix,
    bridgeNamespace: `${prefix}-bridge`,
    nodes,
    client: host("client", 100),
    attacker: host("scanner", 200),
    pods: planPods(nodes, prefix),
  };
}

/** All namespaces of a topology, in the order in which they are made. */
export function namespacesOf(topology: Topology): readonly string[] {
  return [
    topology.bridgeNamespace,
    ...hostsOf(topology).map(({ namespace }) => namespace),
    ...topology.pods.map(({ netns }) => netns),
  ];
}

function hostsOf({ nodes, client, attacker }: Topology): readonly LabHost[] {
  return [...nodes, client, attacker];
}

/**
 * Makes the namespaces and wires them:
 *
 * ```
 *   node1   node2   node3   client   scanner      each with eth0
 *     |       |       |       |         |         veth pairs
 *     +-------+-------+-------+---------+         br0, in a namespace of its own
 * ```
 *
 * The namespaces of pods stay empty: the plugin gives them their interfaces.
 *
 * On failure some of it may exist: {@link removeNamespaces} takes all of it away.
 *
 * @throws Error of the command that failed, with its own words
 */
export function createTopology(topology: Topology): void {
  for (const namespace of namespacesOf(topology)) run("ip", ["netns", "add", namespace]);
  ipBatch(topology.bridgeNamespace, [
    "link set dev lo up",
    // Snooping and spanning tree would hold packets back in the first seconds.
    "link add name br0 type bridge stp_state 0 mcast_snooping 0",
    "link set dev br0 up",
    ...hostsOf(topology).flatMap(({ name, namespace, mac }) => [
      `link add name ${name} type veth peer name eth0 address ${mac} netns ${namespace}`,
      `link set dev ${name} master br0 up`,
    ]),
  ]);
  for (const host of hostsOf(topology)) configureHost(host, topology);
  for (const { name } of hostsOf(topology)) {
    // A veth hands frames that XDP sends (XDP_TX, redirects, live frames) only to a peer with NAPI,
    // and it has NAPI when it has GRO or a program of its own.
    ethtool(topology.bridgeNamespace, name, ["gro", "on"]);
  }
}

function configureHost(host: LabHost, { nodes, attacker }: Topology): void {
  const isNode = nodes.includes(host);
  ipBatch(host.namespace, [
    "link set dev lo up",
    "link set dev eth0 up",
    `address add ${host.ipv4}/24 dev eth0`,
    `address add ${host.ipv6}/64 dev eth0 nodad`,
    ...(isNode
      ? [
          `neighbour replace ${gateway} lladdr ${attacker.mac} nud permanent dev eth0`,
          `route add default via ${gateway} dev eth0`,
        ]
      : []),
  ]);
  // Without offload the sender fills in checksums, as they are on a wire.
  ethtool(host.namespace, "eth0", ["tx", "off"]);
}

function ethtool(namespace: string, device: string, features: readonly string[]): void {
  run("nsenter", [`--net=${netnsPath(namespace)}`, "ethtool", "-K", device, ...features]);
}

function ipBatch(namespace: string, lines: readonly string[]): void {
  run("ip", ["-n", namespace, "-batch", "-"], `${lines.join("\n")}\n`);
}

function run(program: string, args: readonly string[], input = ""): string {
  return execFileSync(program, args, { encoding: "utf8", input, stdio: "pipe" });
}

/**
 * Deletes namespaces, and with them their interfaces and what is attached to these. Those that are
 * not there are skipped. End the processes inside first: a namespace lives on while one is there.
 *
 * @returns what could not be deleted, in the words of `ip`
 */
export function removeNamespaces(namespaces: readonly string[]): readonly string[] {
  const present = new Set(listNamespaces());
  return namespaces
    .filter((namespace) => present.has(namespace))
    .flatMap((namespace) => {
      try {
        run("ip", ["netns", "delete", namespace]);
        return [];
      } catch (error) {
        return [error instanceof Error ? error.message : String(error)];
      }
    });
}

/** Names of all named network namespaces of this machine. */
export function listNamespaces(): readonly string[] {
  return run("ip", ["netns", "list"])
    .split("\n")
    .flatMap((line) => line.split(" ")[0] || []);
}
