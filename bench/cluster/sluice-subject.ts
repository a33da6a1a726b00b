/** Sluice's own list and watch, projections and store. */
import { runSubject } from "./probe.js";
import { agentClient, watchKinds } from "./watch-kinds.js";

const [server = "", account = ""] = process.argv.slice(2);

runSubject(async (report) => watchKinds(await agentClient(account, server), report));
