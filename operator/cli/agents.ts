import type { ApiClient } from "../api/client.js";
import type { KubeClient } from "../kube/client.js";
import { SluiceError } from "../errors.js";
import { usageError } from "./errors.js";
import { printable } from "./visible.js";

/** An agent that can be asked, or why it cannot. */
export interface Agent {
  /** Empty for the agent of this node, which knows its own name. */
  readonly node: string;
  readonly client: ApiClient | SluiceError;
}

export interface NodeAnswer<T> {
  readonly node: string;
  readonly value: T;
}

export interface NodeFailure {
  readonly node: string;
  readonly error: SluiceError;
}

/** Answers of all agents, each kind in the order of the nodes' names. */
export interface Answers<T> {
  readonly answers: readonly NodeAnswer<T>[];
  readonly failures: readonly NodeFailure[];
}

/** The agents that a command asks: that of this node, or those of a cluster. */
export interface Agents {
  /** Answers name their node. */
  readonly isCluster: boolean;
  readonly all: readonly Agent[];
  /** The cluster's API server. */
  readonly kube?: KubeClient;
  /** Asks all, or these, at the same time, some at once. Errors that are no SluiceError are thrown. */
  ask<T>(
    call: (client: ApiClient, node: string) => Promise<T>,
    some?: readonly Agent[],
  ): Promise<Answers<T>>;
  /**
   * As `ask`; agents that cannot be asked are told on standard error.
   *
   * @throws SluiceError of the first agent when none answers
   */
  answers<T>(
    call: (client: ApiClient, node: string) => Promise<T>,
  ): Promise<readonly NodeAnswer<T>[]>;
  /** Rows of all agents; in a cluster each with its `node`. Errors as `answers`. */
  rows<T extends object>(
    call: (client: ApiClient) => Promise<readonly T[]>,
  ): Promise<readonly NodeRow<T>[]>;
  /**
   * The one agent.
   *
   * @throws SluiceError SLUICE_USAGE when there are several, or that of the agent
   */
  only(): ApiClient;
  close(): void;
}

export type NodeRow<T> = T & { readonly node?: string };

export interface AgentsOptions {
  readonly isCluster: boolean;
  /** Ends with the agents. */
  readonly kube?: KubeClient;
  /** Told once per agent that cannot be asked. */
  onFailure?(text: string): void;
}

/** Each takes a connection of the API server and of a kubelet. */
const mostAtOnce = 16;

export function createAgents(all: readonly Agent[], options: AgentsOptions): Agents {
  const told = new Set<string>();
  const agents: Agents = {
    isCluster: options.isCluster,
    all,
    ...(options.kube !== undefined && { kube: options.kube }),
    async ask<T>(call: (client: ApiClient, node: string) => Promise<T>, some = all) {
      const answers: NodeAnswer<T>[] = [];
      const failures: NodeFailure[] = [];
      const outcomes = await mapSome(some, mostAtOnce, (agent) => askOne(agent, call));
      for (const outcome of outcomes) {
        if ("error" in outcome) failures.push(outcome);
        else answers.push(outcome);
      }
      return { answers, failures };
    },
    async answers(call) {
      const { answers, failures } = await agents.ask(call);
      const [first] = failures;
      if (answers.length === 0 && first !== undefined) throw first.error;
      for (const { node, error } of failures) {
        // --watch would tell it at each look.
        if (!told.has(node)) options.onFailure?.(`${node}: ${printable(error.problem)}`);
        told.add(node);
      }
      for (const { node } of answers) told.delete(node);
      return answers;
    },
    async rows(call) {
      const answers = await agents.answers(call);
      return answers.flatMap(({ node, value }) =>
        options.isCluster ? value.map((row) => ({ node, ...row })) : value,
      );
    },
    only() {
      const [first, second] = all;
      if (second !== undefined) {
        const names = all.map(({ node }) => node);
        throw usageError(
          `this asks one agent, and there are ${all.length}`,
          `Give --node with one of ${names.slice(0, 10).join(", ")}${names.length > 10 ? ", …" : ""}`,
        );
      }
      if (first === undefined) throw usageError("there is no agent");
      if (first.client instanceof SluiceError) throw first.client;
      return first.client;
    },
    close() {
      for (const { client } of all) if (!(client instanceof SluiceError)) client.close();
      options.kube?.close();
    },
  };
  return agents;
}

async function askOne<T>(
  { node, client }: Agent,
  call: (client: ApiClient, node: string) => Promise<T>,
): Promise<NodeAnswer<T> | NodeFailure> {
  try {
    if (client instanceof SluiceError) return { node, error: client };
    return { node, value: await call(client, node) };
  } catch (error) {
    if (error instanceof SluiceError) return { node, error };
    throw error;
  }
}

/** As `Promise.all` over a map, with so many under way at most. */
async function mapSome<T, R>(
  items: readonly T[],
  most: number,
  run: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = [];
  const rest = items.entries();
  const worker = async () => {
    for (const [index, item] of rest) results[index] = await run(item);
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, worker));
  return results;
}
