import { fileURLToPath } from "node:url";
import ipaddr from "ipaddr.js";
import { SluiceError } from "../errors.js";
import type { AttackRates, AttackReport, ClientReport } from "./messages.js";
import { type LabPod, type PodAddresses, podWebPort } from "./pods.js";
import type { LabProcess, ProcessOptions } from "./processes.js";
import { floodNetwork, type Topology, webPort } from "./topology.js";

/** What two cores carry beside three agents, and stay usable. */
export const fullRates: AttackRates = { udpFlood: 30_000, synFlood: 20_000, portScan: 300 };
export const noAttack: AttackRates = { udpFlood: 0, synFlood: 0, portScan: 0 };
/** To each node, IPv4 and IPv6 in turn. */
export const requestsPerSecond = 20;
/** Of each pod that asks, to each of its targets. */
const podRequestsPerSecond = 10;

const trafficObject = fileURLToPath(new URL("../../bpf/traffic.o", import.meta.url));
const startTimeoutMs = 10_000;

/** A pod that asks for pages, and what of. */
export interface PodClient {
  /** `NAMESPACE/NAME`. */
  readonly name: string;
  readonly node: string;
  /** In the order of its report. */
  readonly targets: readonly string[];
  /** Latest totals, by target. */
  readonly report: () => ClientReport;
}

/** All senders and web servers of a lab. */
export interface Traffic {
  /** None of them ends by itself. */
  readonly processes: readonly LabProcess[];
  /** Latest totals of the legitimate client. */
  readonly client: () => ClientReport;
  readonly pods: readonly PodClient[];
  /** Latest totals of the attacker. */
  readonly attack: () => AttackReport;
  readonly setAttack: (rates: AttackRates) => void;
}

/** How the lab starts a process: with its log and record. */
export type StartProcess = (options: Omit<ProcessOptions, "logPath" | "onStart">) => LabProcess;

/**
 * Starts the web servers, then the client and the attacker, who is quiet at first.
 *
 * @throws SluiceError SLUICE_LAB_PROCESS when one of them does not begin its work
 */
export async function startTraffic(
  topology: Topology,
  addresses: ReadonlyMap<LabPod, PodAddresses>,
  start: StartProcess,
): Promise<Traffic> {
  const { nodes, client, attacker } = topology;
  const servers = await Promise.all(
    nodes.map((node) =>
      startAndHear(start, {
        name: `web server of ${node.name}`,
        namespacePath: node.namespacePath,
        script: "web-server.js",
        args: [String(webPort), node.name],
      }),
    ),
  );
  const urls = nodes.map((node) => urlsOf(node, webPort));
  const pods = await startPods(topology, addresses, start);
  const [requests, generator] = await Promise.all([
    startAndHear(start, {
      name: "web client",
      namespacePath: client.namespacePath,
      script: "web-client.js",
      args: [String(requestsPerSecond), ...urls],
    }),
    startAndHear(start, {
      name: "traffic generator",
      namespacePath: attacker.namespacePath,
      script: "generator.js",
      // The kernel receives frames on the CPU that sent them, before it sends the next ones; a
      // sender on another CPU than the receiver would overrun the ring of the veth.
      onOneCpu: true,
      args: [trafficObject, JSON.stringify(trafficGlobals(topology))],
    }),
  ]);
  return {
    processes: [...servers, ...pods.heard, requests, generator].map(({ process }) => process),
    pods: pods.clients,
    client: () => requests.latest() as ClientReport,
    attack: () => generator.latest() as AttackReport,
    setAttack(rates) {
      generator.process.send({ rates });
    },
  };
}

/** Each pod that asks asks all web pods, and the web server of another node. */
async function startPods(
  { nodes, pods }: Topology,
  addresses: ReadonlyMap<LabPod, PodAddresses>,
  start: StartProcess,
) {
  const isServer = ({ labels }: LabPod) => labels["app"] === "web";
  const servers = await Promise.all(
    pods.filter(isServer).map(({ name, netnsPath }) =>
      startAndHear(start, {
        name: `web server of ${name}`,
        namespacePath: netnsPath,
        script: "web-server.js",
        args: [String(podWebPort), name],
      }),
    ),
  );
  const targetsOf = ({ node }: LabPod) => [
    ...pods.filter(isServer).flatMap((server) => {
      const found = addresses.get(server);
      return found === undefined ? [] : { name: server.name, urls: urlsOf(found, podWebPort) };
    }),
    ...nodes
      .filter((other) => other !== node)
      .slice(-1)
      .map((other) => ({ name: other.name, urls: urlsOf(other, webPort) })),
  ];
  const clients = await Promise.all(
    pods
      .filter((pod) => !isServer(pod))
      .map(async (pod) => {
        const targets = targetsOf(pod);
        const heard = await startAndHear(start, {
          name: `client in ${pod.name}`,
          namespacePath: pod.netnsPath,
          script: "web-client.js",
          args: [String(podRequestsPerSecond), ...targets.map(({ urls }) => urls)],
        });
        return { pod, targets, heard };
      }),
  );
  return {
    heard: [...servers, ...clients.map(({ heard }) => heard)],
    clients: clients.map(
      ({ pod, targets, heard }): PodClient => ({
        name: `${pod.namespace}/${pod.name}`,
        node: pod.node.name,
        targets: targets.map(({ name }) => name),
        report: () => heard.latest() as ClientReport,
      }),
    ),
  };
}

function urlsOf({ ipv4, ipv6 }: PodAddresses, port: number): string {
  return [`http://${ipv4}:${port}/`, `http://[${ipv6}]:${port}/`].join(",");
}

function trafficGlobals({ nodes, attacker }: Topology): Readonly<Record<string, number>> {
  const [address, length] = ipaddr.IPv4.parseCIDR(floodNetwork);
  return {
    first_node: toNumber(nodes[0]?.ipv4 ?? ""),
    node_count: nodes.length,
    scanner: toNumber(attacker.ipv4),
    flood_network: toNumber(address.toString()),
    flood_host_mask: 2 ** (32 - length) - 1,
    web_port: webPort,
  };
}

function toNumber(address: string): number {
  return Buffer.from(ipaddr.IPv4.parse(address).octets).readUInt32BE();
}

interface Heard {
  readonly process: LabProcess;
  readonly latest: () => unknown;
}

/** Starts a process and waits for its first message. */
async function startAndHear(
  start: StartProcess,
  options: Omit<ProcessOptions, "logPath" | "onStart" | "onMessage">,
): Promise<Heard> {
  let latest: unknown;
  let hear!: () => void;
  const heard = new Promise<undefined>((resolve) => {
    hear = () => resolve(undefined);
  });
  const process = start({
    ...options,
    onMessage(message) {
      latest = message;
      hear();
    },
  });
  let timer: NodeJS.Timeout | undefined;
  const timedOut = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`silence for ${startTimeoutMs / 1000} s`), startTimeoutMs);
  });
  const failure = await Promise.race([heard, process.exited, timedOut]);
  clearTimeout(timer);
  if (failure === undefined) return { process, latest: () => latest };
  throw new SluiceError(
    "SLUICE_LAB_PROCESS",
    `the ${options.name} did not begin its work: ${failure}\n${process.lastLines(15).join("\n")}\n`,
    { remedy: "Read its last lines above" },
  );
}
