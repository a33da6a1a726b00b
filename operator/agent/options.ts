import { hostname } from "node:os";
import { resolve } from "node:path";
import { Command, Option } from "commander";
import { Limits } from "../../datapath/generated/layout.js";
import type { EngineOptions } from "../api/engine.js";
import { type LogLevel, logLevels } from "../api/requests.js";
import { podServiceAccount } from "../kube/service-account.js";
import { version } from "../version.js";
import { applyConfigFile } from "./config-file.js";
import { readFailSafe } from "./fail-safe-file.js";
import { afterHelp } from "./options-help.js";
import {
  collectEndpoints,
  type Endpoint,
  readBoolean,
  readGlobs,
  readLabels,
  readListenAddress,
  readNumber,
} from "./option-values.js";
import {
  addPodRoutingOptions,
  type PodRoutingOptions,
  type RawPodRoutingOptions,
  resolvePodRouting,
} from "./pod-routing-options.js";

export interface AgentOptions {
  readonly engine: EngineOptions;
  readonly source: SourceOptions;
  /** Undefined: pods get their network from others. */
  readonly podNetwork: PodNetworkOptions | undefined;
  readonly socketPath: string;
  /** Where health and metrics are served; undefined: nowhere. */
  readonly metricsAddress: Endpoint | undefined;
  readonly logLevel: LogLevel;
}

/** Where the CNI plugin and its configuration are written; undefined: nowhere. */
export interface PodNetworkOptions extends PodRoutingOptions {
  /** Where /proc/sys can be written. */
  readonly sysctlFolder: string;
  readonly binFolder?: string | undefined;
  readonly configFolder?: string | undefined;
  /** Places in the table of flows; undefined: by the machine's memory. */
  readonly flows?: number | undefined;
}

/** Where objects come from. */
export type SourceOptions =
  | { readonly type: "folder"; readonly folder: string }
  | {
      readonly type: "kubernetes";
      /** A kubeconfig, or the folder of a service account. */
      readonly kubeconfig?: string;
      readonly serviceAccount?: string;
      /** Base URLs of the API servers that the configuration names; empty: as kubeconfig or environment say. */
      readonly servers: readonly string[];
      /** Where the leader's Lease is; undefined: in the namespace of the service account. */
      readonly leaseNamespace: string | undefined;
    };

/** As commander delivers them. */
interface RawOptions extends RawPodRoutingOptions {
  readonly manifests?: string;
  readonly kubeconfig?: string;
  readonly serviceAccount?: string;
  readonly leaseNamespace?: string;
  readonly podNetwork: boolean;
  readonly cniBinDir?: string;
  readonly cniConfDir?: string;
  readonly sysctlDir: string;
  readonly flows?: number;
  readonly nodeName: string;
  readonly nodeLabels: Readonly<Record<string, string>>;
  readonly uplinks: readonly string[];
  readonly mode: EngineOptions["mode"];
  readonly pinRoot: string;
  readonly stateFolder: string;
  readonly socket: string;
  readonly unparsable: EngineOptions["unparsable"];
  readonly failSafe?: string;
  readonly apiServer?: readonly string[];
  readonly confirmProbe?: readonly string[];
  readonly eventsPerSecond: number;
  readonly addressLines: number;
  readonly metadata: boolean;
  readonly metricsAddress: Endpoint | "none";
  readonly logLevel: LogLevel;
  readonly config?: string;
}

const fewestAddressLines = 1024;
const fewestFlows = 1024;
const mostFlows = 16_777_216;
const mostEventsPerSecond = 1_000_000;

/** The agent's command line. */
export function createAgentCommand(): Command {
  const option = (flags: string, description: string) => {
    const made = new Option(flags, description);
    return made.env(`SLUICE_${made.name().toUpperCase().replaceAll("-", "_")}`);
  };
  const command = new Command("sluice-agent")
    .description(
      "Puts XdpPolicies and XdpCidrSets in force on this node: compiles them into BPF maps, and " +
        "attaches the XDP program to the interfaces that they name. They come from the Kubernetes " +
        "API (--service-account in a pod, --kubeconfig elsewhere) or from a folder (--manifests).",
    )
    .version(version, "-V, --version")
    .addOption(
      option("--manifests <folder>", "source: a folder of YAML manifests, watched for changes"),
    )
    .addOption(
      option(
        "--service-account <folder>",
        "source: the API server, as the service account whose token and ca.crt are in the folder; " +
          `in a pod ${podServiceAccount}`,
      ),
    )
    .addOption(option("--kubeconfig <file>", "source: the API server, as a kubeconfig says"))
    .addOption(
      option(
        "--lease-namespace <name>",
        "namespace of the Lease by which agents elect who reports for the cluster",
      ).default(undefined, "that of the service account or kubeconfig"),
    )
    .addOption(
      option("--node-name <name>", "name of this node").default(hostname(), "the host's name"),
    )
    .addOption(
      option("--node-labels <k=v,…>", "labels of this node, for the policies' nodeSelector")
        .argParser(readLabels)
        .default({}, "none"),
    )
    .addOption(
      option(
        "--pod-network [enabled]",
        "give this node's pods their network, and keep NetworkPolicies and ClusterNetworkPolicies in force",
      )
        .argParser(readBoolean)
        .preset("true")
        .default(false),
    )
    .addOption(
      option(
        "--cni-bin-dir <folder>",
        "with --pod-network: where the CNI plugin is installed, on most nodes /opt/cni/bin",
      ),
    )
    .addOption(
      option(
        "--cni-conf-dir <folder>",
        "with --pod-network: where the network configuration is written when pods can be attached, " +
          "on most nodes /etc/cni/net.d",
      ),
    )
    .addOption(
      option(
        "--sysctl-dir <folder>",
        "with --pod-network: where the node's /proc/sys can be written; in a container it is read-only, " +
          "but for a mount of its own",
      ).default("/proc/sys"),
    );
  return addPodRoutingOptions(command, option)
    .addOption(
      option(
        "--flows <n>",
        "with --pod-network: flows of pods that there is room for, 240 bytes each; a table that is there " +
          "keeps its size",
      )
        .argParser(readNumber(fewestFlows, mostFlows))
        .default(undefined, "1/256 of the node's memory, 32768 to 1048576"),
    )
    .addOption(
      option("--uplinks <globs>", "interfaces that policies without `interfaces` judge: eth*,bond0")
        .argParser(readGlobs)
        .default([], "those with a default route"),
    )
    .addOption(
      option("--mode <mode>", "XDP mode; native falls back to generic where a driver has none")
        .choices(["native", "generic", "offload"])
        .default("native"),
    )
    .addOption(
      option("--pin-root <folder>", "folder in a BPF file system for pins; one per agent").default(
        "/sys/fs/bpf/sluice",
      ),
    )
    .addOption(
      option(
        "--state-folder <folder>",
        "folder for what must outlive the agent, as blocked addresses",
      ).default("/run/sluice"),
    )
    .addOption(
      option("--socket <path>", "unix socket for sluicectl, mode 0600").default(
        "/run/sluice/agent.sock",
      ),
    )
    .addOption(
      option("--unparsable <verdict>", "what happens to packets that cannot be parsed")
        .choices(["Drop", "Pass"])
        .default("Drop"),
    )
    .addOption(
      option(
        "--fail-safe <file>",
        "YAML list of rules that are judged before all policies (default: SSH, Kubernetes, " +
          "etcd, DHCP, DNS replies, neighbour discovery)",
      ),
    )
    .addOption(
      option(
        "--api-server <ip:port,…>",
        "API servers: their replies pass the fail-safe rules, and --service-account connects to " +
          "them, to the next when one is away (default: KUBERNETES_SERVICE_HOST and _PORT)",
      ).argParser(collectEndpoints),
    )
    .addOption(
      option(
        "--confirm-probe <ip:port,…>",
        "TCP endpoints; a policy with confirmWithin stays if all answer when its time is up",
      ).argParser(collectEndpoints),
    )
    .addOption(
      option("--events-per-second <n>", "most sampled events per second and CPU; 0: none")
        .argParser(readNumber(0, mostEventsPerSecond))
        .default(1000),
    )
    .addOption(
      option(
        "--address-lines <n>",
        "64-byte lines of the address tables; 1 M random addresses need about 400,000",
      )
        .argParser(readNumber(fewestAddressLines, Limits.MAX_ADDRESS_LINES))
        .default(Limits.MAX_ADDRESS_LINES),
    )
    .addOption(
      option(
        "--metadata [enabled]",
        "write the deciding rule into the XDP metadata of passed packets",
      )
        .argParser(readBoolean)
        .preset("true")
        .default(false),
    )
    .addOption(
      option(
        "--metrics-address <host:port>",
        "where /metrics, /healthz and /readyz are served; none: nowhere",
      )
        .argParser(readListenAddress)
        .default({ host: "127.0.0.1", port: 9977 } satisfies Endpoint, "127.0.0.1:9977"),
    )
    .addOption(
      option("--log-level <level>", "how much is logged").choices(logLevels).default("info"),
    )
    .addOption(option("--config <file>", "YAML file with more of these options"))
    .addHelpText("after", afterHelp)
    .allowExcessArguments(false);
}

/**
 * Options from a command that has parsed its words, with the config file read in.
 *
 * @throws SluiceError SLUICE_CONFIG, SLUICE_FAIL_SAFE; CommanderError when --manifests is missing
 */
export function resolveOptions(command: Command): AgentOptions {
  const { config } = command.opts<RawOptions>();
  if (config !== undefined) applyConfigFile(command, config);
  const raw = command.opts<RawOptions>();
  return {
    engine: {
      nodeName: raw.nodeName,
      nodeLabels: raw.nodeLabels,
      uplinks: raw.uplinks,
      mode: raw.mode,
      pinRoot: resolve(raw.pinRoot),
      stateFolder: resolve(raw.stateFolder),
      unparsable: raw.unparsable,
      failSafe: raw.failSafe === undefined ? undefined : readFailSafe(raw.failSafe),
      apiServers: raw.apiServer ?? [],
      confirmProbes: raw.confirmProbe ?? [],
      eventsPerSecond: raw.eventsPerSecond,
      addressLines: raw.addressLines,
      metadata: raw.metadata,
    },
    source: resolveSource(command, raw),
    podNetwork: resolvePodNetwork(raw),
    socketPath: resolve(raw.socket),
    metricsAddress: raw.metricsAddress === "none" ? undefined : raw.metricsAddress,
    logLevel: raw.logLevel,
  };
}

function resolvePodNetwork(raw: RawOptions): PodNetworkOptions | undefined {
  const { podNetwork, cniBinDir, cniConfDir, sysctlDir, flows } = raw;
  if (!podNetwork) return undefined;
  return {
    sysctlFolder: resolve(sysctlDir),
    binFolder: cniBinDir === undefined ? undefined : resolve(cniBinDir),
    configFolder: cniConfDir === undefined ? undefined : resolve(cniConfDir),
    ...resolvePodRouting(raw),
    flows,
  };
}

function resolveSource(command: Command, raw: RawOptions): SourceOptions {
  const { manifests, kubeconfig, serviceAccount, leaseNamespace } = raw;
  const given = [manifests, kubeconfig, serviceAccount].filter((value) => value !== undefined);
  if (given.length !== 1) {
    const problem = given.length === 0 ? "no source is given" : "more than one source is given";
    command.error(`error: ${problem}: use one of --manifests, --service-account and --kubeconfig`, {
      code: "commander.missingMandatoryOptionValue",
    });
  }
  if (manifests !== undefined) return { type: "folder", folder: manifests };
  return {
    type: "kubernetes",
    ...(kubeconfig !== undefined && { kubeconfig: resolve(kubeconfig) }),
    ...(serviceAccount !== undefined && { serviceAccount: resolve(serviceAccount) }),
    servers: (raw.apiServer ?? []).map((endpoint) => `https://${endpoint}`),
    leaseNamespace,
  };
}
