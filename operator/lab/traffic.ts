import { fileURLToPath } from "node:url";
import ipaddr from "ipaddr.js";
import { SluiceError } from "../errors.js";
import type { AttackRates, AttackReport, ClientReport } from "./messages.js";
import type { LabProcess, ProcessOptions } from "./processes.js";
import { floodNetwork, type Topology, webPort } from "./topology.js";

/** What two cores carry beside three agents, and stay usable. */
export const fullRates: AttackRates = { udpFlood: 30_000, synFlood: 20_000, portScan: 300 };
export const noAttack: AttackRates = { udpFlood: 0, synFlood: 0, portScan: 0 };
/** To each node, IPv4 and IPv6 in turn. */
export const requestsPerSecond = 20;

const trafficObject = fileURLToPath(new URL("../../bpf/traffic.o", import.meta.url));
const startTimeoutMs = 10_000;

/** All senders and web servers of a lab. */
export interface Traffic {
  /** None of them ends by itself. */
  readonly processes: readonly LabProcess[];
  /** Latest totals of the legitimate client. */
  readonly client: () => ClientReport;
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
export async function startTraffic(topology: Topology, start: StartProcess): Promise<Traffic> {
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
  const urls = nodes.map(({ ipv4, ipv6 }) =>
    [`http://${ipv4}:${webPort}/`, `http://[${ipv6}]:${webPort}/`].join(","),
  );
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
    processes: [...servers, requests, generator].map(({ process }) => process),
    client: () => requests.latest() as ClientReport,
    attack: () => generator.latest() as AttackReport,
    setAttack(rates) {
      generator.process.send({ rates });
    },
  };
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
