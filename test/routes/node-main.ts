/** Runs the routes of one node in the network namespace that it is started in; node-process.ts tells it what to do. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import pino from "pino";
import { NodeRoutes } from "../../operator/apply/node-routes.js";
import { parseCidr } from "../../operator/model/cidr.js";
import type { NodeCall, NodeReply } from "./node-process.js";
import { nodeRecord } from "./node-record.js";

let routes: NodeRoutes | undefined;
const delay = monitorEventLoopDelay({ resolution: 5 });

async function answer(call: NodeCall): Promise<unknown> {
  switch (call.name) {
    case "start": {
      const { exceptions, ...options } = call.options;
      routes = new NodeRoutes(
        {
          ...options,
          masquerade: {
            enabled: options.masquerade,
            exceptions: exceptions.map((text) => parseCidr(text)),
          },
          sysctlFolder: "/proc/sys",
        },
        pino({ level: "fatal" }),
      );
      delay.enable();
      return undefined;
    }
    case "tell":
      delay.reset();
      for (const node of call.nodes) routes?.submit({ type: "upsert", record: nodeRecord(node) });
      for (const name of call.gone ?? []) routes?.submit({ type: "delete", kind: "Node", name });
      if (call.synced === true) routes?.submit({ type: "synced" });
      return undefined;
    case "state":
      return {
        ...routes?.state(),
        podDevices: routes?.podDevices(),
        problems: routes?.problems().map(({ code, message }) => ({ code, message })),
        longestTurnMs: delay.max / 1e6,
      };
    case "close":
      await routes?.close();
      routes = undefined;
      return undefined;
  }
}

process.on("message", (message) => {
  const { id, call } = message as { readonly id: number; readonly call: NodeCall };
  const send = (reply: NodeReply) => process.send?.(reply);
  answer(call).then(
    (result) => send({ id, result }),
    (error: unknown) => send({ id, error: String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
