import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Lab, Namespace } from "../support/netns.js";
import { type CniNode, type CniProcess, createNode, runShim, type ShimAnswer } from "./node.js";

export interface SoakReport {
  readonly added: number;
  /** ADDs that failed because the server was killed. */
  readonly failed: number;
  readonly kills: number;
}

const workers = 8;
const betweenKillsMs = 400;
const mostTries = 50;
const retryMs = 100;

/**
 * Attaches and detaches containers, several at once, while the server is killed at random moments and started again
 * and some of the shims are killed, too. Fails unless at the end nothing is left of any of them, and unless at every
 * moment each address has one holder.
 */
export async function soak(lab: Lab, rounds: number): Promise<SoakReport> {
  const node = createNode(lab, { policyMs: 5 });
  const holders = new Map<string, string>();
  const report = { added: 0, failed: 0, kills: 0 };
  let server = await node.start();
  const over = new AbortController();
  let left = rounds;

  async function killer(): Promise<void> {
    while (!over.signal.aborted) {
      await sleep(Math.random() * betweenKillsMs * 2);
      server = await restart(server, node);
      report.kills++;
    }
  }

  async function worker(pod: Namespace): Promise<void> {
    while (left-- > 0) {
      const containerId = `soak-${left}`;
      const id = { containerId, netns: pod.name };
      const killShim = Math.random() < 0.05 ? { killAfterMs: Math.ceil(Math.random() * 15) } : {};
      const added = await runShim(node, { command: "ADD", ...id, ...killShim });
      if (added.exitCode === 0) {
        report.added++;
        await hold(containerId, added, async () => {
          if (Math.random() >= 0.2) return;
          const config = { prevResult: added.result };
          await succeed(() => runShim(node, { command: "CHECK", ...id, config }));
        });
      } else {
        const isKilled = "killAfterMs" in killShim;
        assert.ok(isKilled || added.result?.code === 11, JSON.stringify(added));
        report.failed++;
      }
      await succeed(() => runShim(node, { command: "DEL", ...id }));
      if (added.exitCode !== 0) await sleep(retryMs);
    }
  }

  async function hold(who: string, { result }: ShimAnswer, work: () => Promise<void>) {
    const addresses = (result?.ips ?? []).map(({ address }) => address);
    assert.equal(addresses.length, 2);
    for (const address of addresses) {
      assert.equal(holders.get(address), undefined, `${address} is also ${who}'s`);
      holders.set(address, who);
    }
    await work();
    for (const address of addresses) holders.delete(address);
  }

  const pods = Array.from({ length: workers }, (_, i) => lab.namespace(`soak${i}`));
  const killing = killer();
  try {
    await Promise.all(pods.map(worker));
  } finally {
    over.abort();
    await killing;
  }
  server = await restart(server, node);
  assert.deepEqual(await server.state(), { attachments: 0, used: [0, 0], attached: 0 });
  assert.deepEqual(node.podLinks(), []);
  assert.deepEqual(node.stateFiles(), []);
  const queued = readdirSync(node.queueFolder).filter((name) => name.endsWith(".del"));
  assert.deepEqual(queued, []);
  const routes = node.namespace.run("ip", "route") + node.namespace.run("ip", "-6", "route");
  assert.doesNotMatch(routes, /slc/);
  for (const pod of pods) assert.doesNotMatch(pod.run("ip", "link"), /eth0/);
  return report;
}

async function restart(server: CniProcess, node: CniNode): Promise<CniProcess> {
  await server.kill();
  return node.start();
}

/** As a runtime does: again while the plugin asks for it. */
async function succeed(call: () => Promise<ShimAnswer>): Promise<void> {
  for (let tries = 1; ; tries++) {
    const answer = await call();
    if (answer.exitCode === 0) return;
    assert.ok(answer.result?.code === 11 && tries < mostTries, JSON.stringify(answer));
    await sleep(retryMs);
  }
}
