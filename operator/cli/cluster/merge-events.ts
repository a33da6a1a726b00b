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
 * Events of all agents as they come, each agent's in its order. A slow reader slows each agent's stream by itself. In a
 * cluster an agent that fails is told, and the others go on.
 *
 * @throws SluiceError of the agent that failed last, when all have failed
 */
export async function* mergeEvents(
  agents: Agents,
  signal: AbortSignal,
  output: Output,
): AsyncGenerator<NodeLine> {
  const stop = new AbortController();
  const onAbort = () => stop.abort();
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) stop.abort();
  /** The next line of each agent that still has a stream. */
  const pending = new Map<Agent, Promise<Next>>();
  const streams = new Map<Agent, AsyncIterator<EventLine>>();
  let failure: SluiceError | undefined;
  let hasStream = false;
  const advance = (agent: Agent) => {
    const stream = streams.get(agent);
    if (stream !== undefined) pending.set(agent, nextOf(agent, stream));
  };
  try {
    for (const agent of agents.all) {
      if (agent.client instanceof SluiceError) {
        failure = agent.client;
        if (agents.all.length > 1) output.note(`${agent.node}: ${printable(failure.problem)}`);
        continue;
      }
      streams.set(agent, agent.client.events(stop.signal)[Symbol.asyncIterator]());
      advance(agent);
    }
    while (pending.size > 0) {
      const next = await Promise.race(pending.values());
      const { agent } = next;
      pending.delete(agent);
      if ("error" in next) {
        if (!(next.error instanceof SluiceError)) throw next.error;
        failure = next.error;
        if (agents.all.length > 1) output.note(`${agent.node}: ${printable(failure.problem)}`);
      } else if (next.result.done !== true) {
        hasStream = true;
        yield { node: agent.node, line: next.result.value };
        advance(agent);
      }
    }
    if (failure !== undefined && !(hasStream && agents.isCluster)) throw failure;
  } finally {
    signal.removeEventListener("abort", onAbort);
    stop.abort();
    await Promise.allSettled(pending.values());
  }
}

type Next =
  | { readonly agent: Agent; readonly result: IteratorResult<EventLine> }
  | { readonly agent: Agent; readonly error: unknown };

async function nextOf(agent: Agent, stream: AsyncIterator<EventLine>): Promise<Next> {
  try {
    return { agent, result: await stream.next() };
  } catch (error) {
    return { agent, error };
  }
}
