import type { EventLine } from "../../api/requests.js";
import { SluiceError } from "../../errors.js";
import type { Agent, Agents } from "../agents.js";
import type { Output } from "../output.js";
import { printable } from "../visible.js";

export interface NodeLine {
  readonly node: string;
  readonly line: EventLine;
}

/**
 * Events of all agents as they come, each agent's in its order. A slow reader slows each agent's stream by itself. An
 * agent that fails is told, and the others go on.
 *
 * @throws SluiceError of the agent that failed last, when all have failed
 */
export async function* mergeEvents(
  agents: Agents,
  signal: AbortSignal,
  output: Output,
): AsyncGenerator<NodeLine> {
  const { all } = agents;
  const stop = new AbortController();
  const onAbort = () => stop.abort();
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) stop.abort();
  /** At most one line of each agent: it reads on when that was taken. */
  const waiting: { readonly next: NodeLine; readonly goOn: () => void }[] = [];
  let wake = () => {};
  const running = new Set(all);
  const failures: Error[] = [];
  const follow = async (agent: Agent) => {
    const { node, client } = agent;
    try {
      if (client instanceof SluiceError) throw client;
      for await (const line of client.events(stop.signal)) {
        await new Promise<void>((goOn) => {
          waiting.push({ next: { node, line }, goOn });
          wake();
        });
      }
    } catch (error) {
      failures.push(error instanceof Error ? error : new Error(String(error)));
      if (error instanceof SluiceError && all.length > 1) {
        output.note(`${node}: ${printable(error.problem)}`);
      }
    } finally {
      running.delete(agent);
      wake();
    }
  };
  const followed = all.map(follow);
  try {
    while (running.size > 0 || waiting.length > 0) {
      const first = waiting.shift();
      if (first === undefined) {
        await new Promise<void>((resolve) => (wake = resolve));
        continue;
      }
      first.goOn();
      yield first.next;
    }
    const fault = failures.find((error) => !(error instanceof SluiceError));
    if (fault !== undefined) throw fault;
    const last = failures.at(-1);
    if (last !== undefined && failures.length === all.length) throw last;
  } finally {
    signal.removeEventListener("abort", onAbort);
    stop.abort();
    // What they have read until they see that is dropped.
    wake = () => {
      for (const { goOn } of waiting.splice(0)) goOn();
    };
    wake();
    await Promise.all(followed);
  }
}
