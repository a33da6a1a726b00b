import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { queryXdp } from "../../datapath/xdp-attach.js";
import type { Lab, Namespace } from "../support/netns.js";
import { withNamespaces } from "../support/netns.js";

function twoHosts(lab: Lab): { readonly node: Namespace; readonly client: Namespace } {
  const node = lab.namespace("node");
  const client = lab.namespace("client");
  lab.veth(
    { namespace: node, name: "eth0", addresses: ["192.0.2.1/24"] },
    { namespace: client, name: "eth0", addresses: ["192.0.2.2/24"] },
  );
  return { node, client };
}

/** Starts an example in a namespace; ended with the lab. */
function start(lab: Lab, node: Namespace, name: string): AsyncIterator<string> {
  const script = fileURLToPath(new URL(`../../examples/programs/${name}.js`, import.meta.url));
  const args = [`--net=${node.path}`, process.execPath, script, "eth0"];
  const child = spawn("nsenter", args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  lab.onCleanup(async () => {
    child.kill("SIGINT");
    await ended;
  });
  return createInterface({ input: child.stdout })[Symbol.asyncIterator]();
}

async function lineLike(lines: AsyncIterator<string>, pattern: RegExp): Promise<string> {
  for (;;) {
    const next = await lines.next();
    if (next.done === true) assert.fail(`the example ended before a line like ${pattern}`);
    if (pattern.test(next.value)) return next.value;
  }
}

function sendDatagrams(client: Namespace, count: number): void {
  const one = "echo question > /dev/udp/192.0.2.1/9";
  client.run("bash", "-c", `for number in $(seq ${count}); do ${one}; done`);
}

test("protocol-counter prints packets per second of real traffic", async () => {
  await withNamespaces(async (lab) => {
    const { node, client } = twoHosts(lab);
    const lines = start(lab, node, "protocol-counter");
    await lineLike(lines, /^counting on eth0 in native mode/);
    sendDatagrams(client, 20);
    assert.match(await lineLike(lines, /\bUDP \d/), /\bUDP \d+\.\d pkt\/s/);
  });
});

test("drop-tcp refuses connections from outside and lets UDP through, until it ends", async () => {
  await withNamespaces(async (lab) => {
    const { node, client } = twoHosts(lab);
    const index = node.indexOf("eth0");
    await withNamespaces(async (inner) => {
      const lines = start(inner, node, "drop-tcp");
      await lineLike(lines, /^dropping TCP on eth0 in native mode/);
      sendDatagrams(client, 5);
      // Nobody listens, and the stack counts that only for datagrams that reached it.
      assert.match(node.run("nstat", "-asz", "UdpNoPorts"), /UdpNoPorts\s+5\b/);
      const connect = "exec 3<>/dev/tcp/192.0.2.1/8000";
      const net = `--net=${client.path}`;
      // A refused connection answers at once; a dropped one leaves the client waiting.
      assert.throws(() => execFileSync("nsenter", [net, "timeout", "0.3", "bash", "-c", connect]), {
        status: 124,
      });
    });
    assert.equal(node.enter(() => queryXdp(index)).native, undefined);
    assert.throws(() => client.run("bash", "-c", "exec 3<>/dev/tcp/192.0.2.1/8000"), {
      message: /Connection refused/,
    });
  });
});
