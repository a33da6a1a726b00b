import type { Command } from "commander";
import { unreachable } from "../../api/client.js";
import { socketCommand } from "../agent-command.js";
import { joinSocket } from "../join-socket.js";

/** `sluicectl connect`: what kubectl sluice runs in the agent's pod. It speaks bytes, so it takes the process's own streams. */
export function connectCommand(): Command {
  return socketCommand(
    "connect",
    "join standard input and output to the agent's socket",
    "Joins standard input and output to the agent's unix socket, byte by byte, until one side " +
      "ends. kubectl sluice runs it in the agent's pod.",
  ).action(async ({ socket }: { readonly socket: string }) => {
    try {
      await joinSocket(socket, process.stdin, process.stdout);
    } catch (cause) {
      throw unreachable(cause, { where: `at ${socket}` });
    }
  });
}
