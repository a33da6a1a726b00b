import assert from "node:assert/strict";
import type { PodNode, RunningPod } from "./pods.js";

/** Who talks to whom; both may be on one node or on two. */
export interface Pair {
  readonly client: RunningPod;
  readonly server: RunningPod;
}

/** How long a question may be under way: a lost packet is sent again in it, and a reset is known at once. */
const ANSWER_MS = 5000;

/** Connections between two pods that are asked over and over while something is done, and a stream of requests. */
export interface LastingFlows {
  /** Runs it under traffic; then each connection must have answered, and no request may have failed. */
  during(work: () => Promise<void>): Promise<void>;
  /** Packets that isolation has refused one of the two. */
  refused(): Promise<number>;
}

/**
 * Opens the connections to the server's port, and has pages asked for at another, each by a connection of its own.
 *
 * @param nodes those of the two pods
 */
export async function openLastingFlows(
  { client, server }: Pair,
  nodes: readonly PodNode[],
  { count, echoPort, httpPort }: Record<"count" | "echoPort" | "httpPort", number>,
): Promise<LastingFlows> {
  await server.peer.call("echoTcp", { port: echoPort });
  await server.peer.call("serveHttp", { port: httpPort });
  await client.peer.call("holdTcp", { to: server.ipv4, port: echoPort, count });
  const rollCall = async () => {
    const answers = await client.peer.call("rollCall", { timeoutMs: ANSWER_MS });
    assert.deepEqual(answers, { answered: count, silent: 0, ended: 0 });
  };
  await rollCall();
  let before = { sent: 0, succeeded: 0 };
  return {
    async during(work) {
      await client.peer.call("browse", {
        url: `http://${server.ipv4}:${httpPort}/`,
        perSecond: 20,
      });
      const end = new AbortController();
      let rounds = 0;
      const asking = (async () => {
        for (; !end.signal.aborted; rounds++) {
          await rollCall();
          await sleep(100);
        }
      })();
      try {
        await work();
      } finally {
        end.abort();
        await asking;
      }
      await rollCall();
      const pages = await client.peer.call("endBrowsing", {});
      assert.deepEqual(pages.failures, []);
      assert.equal(pages.succeeded, pages.sent);
      assert.ok(pages.sent > before.sent);
      assert.ok(rounds > 0);
      before = pages;
    },
    async refused() {
      const keys = [client.key, server.key];
      const rules = (await Promise.all(nodes.map(({ api }) => api.call("podRules")))).flat();
      return rules
        .filter(({ policy, interfaces }) => {
          return policy === "isolation" && interfaces.some((name) => keys.includes(name));
        })
        .reduce((sum, { matched }) => sum + matched.packets, 0);
    },
  };
}

/** Sends by several connections, and counts once it goes steadily. @returns bits per second that arrived */
export async function throughput(
  from: RunningPod,
  to: RunningPod,
  port: number,
  forMs = 2000,
): Promise<number> {
  await from.peer.call("pourTcp", { to: to.ipv4, port, flows: 4 });
  /* Behind the burst, and what TCP makes of its end. */
  await sleep(500);
  const before = await to.peer.call("sunkTcp", { port });
  await sleep(forMs);
  const after = await to.peer.call("sunkTcp", { port });
  await from.peer.call("endPouring", {});
  return ((after.bytes - before.bytes) * 8) / ((after.atMs - before.atMs) / 1000);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
