import { dirname, join } from "node:path";
import type { Logger } from "pino";
import type { Engine, EventState, PodProblem } from "../api/engine.js";
import { NodeRoutes } from "../apply/node-routes.js";
import { openPodNetwork, type PodNetwork } from "../apply/pod-network.js";
import { locate } from "../apply/pod-places.js";
import { tracePod } from "../apply/pod-tracer.js";
import { type AttachFailure, AttachFailures } from "../cni/attach-failures.js";
import { AttachmentStore } from "../cni/attachment-store.js";
import { cniError } from "../cni/errors.js";
import { hostMac } from "../cni/gateway.js";
import { installConfig, installPlugin } from "../cni/install.js";
import { kernelPodLinks } from "../cni/kernel-pod-links.js";
import type { PodNetwork as CniPodNetwork } from "../cni/pod-network.js";
import { type CniServer, startCniServer } from "../cni/server.js";
import type { PodRoute } from "../compile/route-rows.js";
import { SluiceError } from "../errors.js";
import type { Problem } from "../model/records.js";
import type { ObjectEvent } from "../source/source.js";
import { enableForwarding } from "./forwarding.js";
import type { AgentOptions, PodNetworkOptions } from "./options.js";

export interface RunningPodNetwork {
  /** Takes what the source tells. */
  readonly observe: (event: ObjectEvent) => void;
  /** What is attached stays attached, and judged. */
  close(): Promise<void>;
}

/** Nobody asks for them, unlike for those of rules with `log`, and each costs the agent some microseconds. */
const MOST_EVENTS_PER_SECOND = 100;

/**
 * Gives this node's pods their network: serves CNI and keeps policies in force. Pods that an earlier agent attached are
 * taken over before this resolves, so it comes before the source is read.
 *
 * @throws SluiceError
 */
export async function startPodNetwork(
  {
    engine: { nodeName, pinRoot, stateFolder, uplinks, eventsPerSecond },
    socketPath,
  }: AgentOptions,
  { sysctlFolder, binFolder, configFolder, flows, ...routing }: PodNetworkOptions,
  engine: Engine,
  logger: Logger,
): Promise<RunningPodNetwork> {
  const log = logger.child({ component: "cni" });
  enableForwarding(sysctlFolder);
  let hasCidrs = false;
  /** When pods can be attached: a runtime takes its node for ready when it finds the file. */
  const announce = () => {
    if (configFolder === undefined || !hasCidrs || pods.notReady() !== undefined) return;
    try {
      if (installConfig(configFolder)) log.info({ configFolder }, "network configuration written");
    } catch (err) {
      log.error({ err, configFolder }, "the network configuration could not be written");
    }
  };
  let tell: (event: EventState) => void = () => undefined;
  const pods = await openPodNetwork(
    {
      nodeName,
      pinRoot,
      gatewayMac: hostMac,
      flows,
      uplinks,
      onApplied: announce,
      eventsPerSecond: Math.min(eventsPerSecond, MOST_EVENTS_PER_SECOND),
      onEvent: (event) => tell(event),
    },
    logger,
  );
  let routes: NodeRoutes;
  try {
    const onRoutes = (ranges: readonly PodRoute[]) => pods.setPodRanges(ranges);
    routes = new NodeRoutes({ nodeName, sysctlFolder, ...routing, onRoutes }, logger);
  } catch (error) {
    await pods.close();
    throw error;
  }
  const cniSocket = join(dirname(socketPath), "cni.sock");
  const failures = new AttachFailures();
  let sourceProblems: readonly Problem[] = [];
  let cni: CniServer;
  try {
    if (binFolder !== undefined) install(binFolder, cniSocket);
    cni = await startCniServer({
      socketPath: cniSocket,
      store: new AttachmentStore(join(stateFolder, "cni")),
      links: kernelPodLinks(sysctlFolder),
      network: cniNetwork(pods),
      log,
      notReady: () => pods.notReady(),
      mtuBytes: () => routes.podMtu(),
      onAttempt: (pod, error) => failures.note(pod, error),
    });
  } catch (error) {
    await routes.close();
    await pods.close();
    throw error;
  }
  const { attachments } = cni;
  engine.setPods({
    state: () => {
      const state = podState(pods, routes);
      return {
        ...state,
        podProblems: [...state.podProblems, ...failures.list().map(notAttached)],
        pools: attachments.state().pools.map(({ cidr, used, capacity }) => {
          return { cidr, used, capacity: Number(capacity) };
        }),
      };
    },
    rules: () => pods.rules(),
    policies: () => pods.policies(sourceProblems),
    problems: () => [...pods.problems(), ...routes.problems()],
    locate: (query) => locate(pods.tracing().around, query),
    trace: (query) => tracePod(pods.tracing(), query),
    onEvent(listener) {
      tell = listener;
    },
  });
  log.info({ socket: cniSocket, pods: attachments.state().attachments }, "serving CNI");
  return {
    observe(event) {
      if (event.type === "problems") {
        sourceProblems = event.problems;
        return;
      }
      pods.submit(event);
      routes.submit(event);
      if (event.type === "delete" && event.kind === "Pod") {
        failures.forget(event.namespace ?? "", event.name);
      }
      if (event.type !== "upsert" || event.record.kind !== "Node") return;
      if (event.record.name !== nodeName) return;
      const { podCidrs } = event.record;
      attachments.setPodCidrs(podCidrs);
      hasCidrs = podCidrs.length > 0;
      announce();
    },
    async close() {
      pods.end();
      await cni.close();
      await routes.close();
      await pods.close();
    },
  };
}

function notAttached({ pod, sinceMs, message }: AttachFailure): PodProblem {
  const { namespace, name, uid } = pod;
  const since = new Date(sinceMs).toISOString();
  return {
    type: "NotAttached",
    namespace,
    name,
    ...(uid !== undefined && { uid }),
    since,
    message,
  };
}

/** @throws SluiceError SLUICE_CNI_INSTALL */
function install(binFolder: string, cniSocket: string): void {
  try {
    installPlugin(binFolder, cniSocket);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SluiceError("SLUICE_CNI_INSTALL", `the CNI plugin cannot be installed: ${why}`, {
      remedy: "Check --cni-bin-dir: the folder must be there and not read-only",
      cause,
    });
  }
}

function podState(pods: PodNetwork, routes: NodeRoutes) {
  const state = pods.state();
  const routing = routes.state();
  const applyError = state.applyError ?? routing.error;
  return { ...state, ...(applyError !== undefined && { applyError }), routing };
}

/** With the code by which a runtime tries again, where that helps. */
function cniNetwork(pods: PodNetwork): CniPodNetwork {
  return {
    async attach(attachment) {
      try {
        await pods.attach(attachment);
      } catch (error) {
        if (!(error instanceof SluiceError) || error.code !== "SLUICE_NO_POD") throw error;
        throw cniError("SLUICE_CNI_TRY_AGAIN", error.problem, { cause: error });
      }
    },
    detach: (attachment) => pods.detach(attachment),
    check: (attachment) => pods.check(attachment),
  };
}
