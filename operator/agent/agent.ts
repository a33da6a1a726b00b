import type { Logger } from "pino";
import type { Engine } from "../api/engine.js";
import { type ApiServer, startApiServer } from "../api/server.js";
import { createEngine } from "../apply/engine.js";
import { type HealthServer, startHealthServer } from "../health/health-server.js";
import { createMetrics } from "../observe/metrics.js";
import { startReporting } from "../status/reporting.js";
import { version } from "../version.js";
import { lockFolders } from "./locks.js";
import { openSource } from "./open-source.js";
import { readNodeFacts } from "./node-facts.js";
import { startPodNetwork } from "./pod-network.js";
import { createSink } from "./sink.js";
import type { AgentLog } from "./log.js";
import type { AgentOptions } from "./options.js";

export interface Agent {
  /** Ends it; what is in the kernel stays there. */
  close(): Promise<void>;
}

/**
 * Runs an agent; resolves when its source is being read.
 *
 * @throws SluiceError; what was started until then has been ended again
 */
export async function startAgent(options: AgentOptions, log: AgentLog): Promise<Agent> {
  const { logger } = log;
  /** In the order in which things were begun; ended in reverse. */
  const begun: { readonly name: string; readonly end: () => unknown }[] = [];
  const close = async () => {
    for (const { name, end } of begun.splice(0).toReversed()) {
      try {
        await end();
      } catch (error) {
        logger.error({ err: error }, `${name} could not be ended cleanly`);
      }
    }
  };
  try {
    const { nodeName, nodeLabels, pinRoot } = options.engine;
    logger.info({ version, nodeName, nodeLabels, pinRoot }, "starting");
    const locks = lockFolders(options.engine.pinRoot, options.engine.stateFolder);
    begun.push({ name: "locks", end: () => locks.release() });
    const engine = createEngine(options.engine, logger);
    begun.push({ name: "engine", end: () => engine.close() });
    const health = await startHealth(options, engine, logger);
    begun.push({ name: "health server", end: () => health?.close() });
    const api: ApiServer = await startApiServer({
      engine,
      socketPath: options.socketPath,
      log: logger.child({ component: "api" }),
      logLevel: { get: () => log.level(), set: (level) => log.setLevel(level) },
    });
    begun.push({ name: "api server", end: () => api.close() });
    await engine.start();
    const { podNetwork } = options;
    const pods = podNetwork && (await startPodNetwork(options, podNetwork, engine, logger));
    begun.push({ name: "pod network", end: () => pods?.close() });
    const sourceLog = logger.child({ component: "source" });
    const { source, cluster } = await openSource(
      options.source,
      nodeName,
      pods !== undefined,
      sourceLog,
    );
    begun.push({ name: "API client", end: () => cluster?.client.close() });
    begun.push({ name: "source", end: () => source.close() });
    engine.setSource(() => source.state());
    await source.start(createSink(engine, sourceLog, pods?.observe));
    if (cluster !== undefined) {
      const { client, view, leaseNamespace } = cluster;
      const facts = readNodeFacts();
      const reporting = startReporting({
        client,
        engine,
        node: nodeName,
        leaseNamespace,
        facts: () => facts,
        cluster: view,
        log: logger.child({ component: "reporting" }),
      });
      begun.push({ name: "reporting", end: () => reporting.close() });
    }
    logger.info({ source: source.state().from, socket: options.socketPath }, "watching");
    return { close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function startHealth(
  { metricsAddress }: AgentOptions,
  engine: Engine,
  logger: Logger,
): Promise<HealthServer | undefined> {
  if (metricsAddress === undefined) return undefined;
  const metrics = createMetrics(engine);
  const server = await startHealthServer({ engine, metrics, ...metricsAddress });
  logger.info({ address: server.address }, "serving metrics and health");
  return server;
}
