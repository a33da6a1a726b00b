/** The agent, with Services, EndpointSlices and Pods besides what it watches by itself. */
import { startAgent } from "../../operator/agent/agent.js";
import { createLog } from "../../operator/agent/log.js";
import { createAgentCommand, resolveOptions } from "../../operator/agent/options.js";
import { runSubject } from "./probe.js";
import { agentClient, watchKinds } from "./watch-kinds.js";

const options = resolveOptions(createAgentCommand().parse());
const log = createLog(options.logLevel, options.engine.nodeName);

runSubject(async (report) => {
  const { source } = options;
  if (source.type === "folder" || source.serviceAccount === undefined) {
    throw new Error("the bench runs the agent by a service account");
  }
  await startAgent(options, log);
  await watchKinds(await agentClient(source.serviceAccount, source.servers[0]!), report);
});
