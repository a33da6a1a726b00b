import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { encodeAnswer, encodeRequest } from "../../operator/cni/frame.js";
import { eventually } from "../support/eventually.js";
import { withNamespaces } from "../support/netns.js";
import { type CniNode, createNode, runShim, type ShimAnswer } from "./node.js";

/** Where the protocol's version stands in a message. */
const VERSION_AT = 7;

test("a node without podCIDR asks to try again, and gives addresses as soon as it has one", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab, { podCidrs: [] });
    const server = await node.start();
    const pod = lab.namespace("a");
    const add = () => runShim(node, { command: "ADD", containerId: "a", netns: pod.name });
    const refused = await add();
    assert.deepEqual([refused.exitCode, refused.result?.code], [1, 11]);
    assert.match(refused.result?.msg ?? "", /podCIDR/);
    assert.equal((await runShim(node, { command: "STATUS" })).result?.code, 50);
    assert.deepEqual([node.podLinks(), node.stateFiles()], [[], []]);
    await server.setPodCidrs(["10.244.7.0/24"]);
    assert.equal((await runShim(node, { command: "STATUS" })).exitCode, 0);
    assert.deepEqual(addressesOf(await add()), ["10.244.7.2/32"]);
  }));

test("when the podCIDR changes, pods keep their addresses and new ones get others, over a restart too", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab, { podCidrs: ["10.244.1.0/24"] });
    const first = await node.start();
    const add = (id: string) => {
      return runShim(node, { command: "ADD", containerId: id, netns: lab.namespace(id).name });
    };
    const old = await add("old");
    await first.setPodCidrs(["10.244.2.0/24"]);
    assert.deepEqual(addressesOf(await add("new")), ["10.244.2.2/32"]);
    const call = { containerId: "old", config: { prevResult: old.result } };
    assert.equal((await first.state()).attachments, 2);
    await first.kill();
    const second = await node.start();
    await second.setPodCidrs(["10.244.2.0/24"]);
    assert.equal((await second.state()).attachments, 2);
    assert.deepEqual(addressesOf(await add("third")), ["10.244.2.3/32"]);
    assert.equal((await runShim(node, { command: "DEL", ...call })).exitCode, 0);
    assert.equal((await second.state()).attachments, 2);
    assert.equal(node.podLinks().length, 2);
  }));

test("an agent that is killed before it answers ADD: nothing is left, and the next ADD succeeds", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab, { policyMs: 60_000 });
    const first = await node.start();
    const pod = lab.namespace("a");
    const call = { command: "ADD", containerId: "a", netns: pod.name };
    const pending = runShim(node, call);
    await eventually(() => assert.equal(node.podLinks().length, 1));
    await first.kill();
    const { exitCode, result } = await pending;
    assert.deepEqual([exitCode, result?.code], [1, 11], "the runtime tries again");
    const second = await node.start({ policyMs: 0 });
    assert.deepEqual(await second.state(), { attachments: 0, used: [0, 0], attached: 0 });
    assert.deepEqual([node.podLinks(), node.stateFiles()], [[], []]);
    assert.equal(addressesOf(await runShim(node, call)).length, 2);
    assert.deepEqual(await second.state(), { attachments: 1, used: [1, 1], attached: 1 });
  }));

test("a plugin of another version is refused by a code that names the remedy, also out of the queue", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab);
    const request = encodeRequest({
      environment: new Map([
        ["CNI_COMMAND", "DEL"],
        ["CNI_CONTAINERID", "a"],
        ["CNI_IFNAME", "eth0"],
      ]),
      config: JSON.stringify({ cniVersion: "1.1.0", name: "net", type: "sluice" }),
    });
    request.write("0", VERSION_AT);
    mkdirSync(node.queueFolder, { recursive: true });
    writeFileSync(join(node.queueFolder, "0000000000000001.del"), request);
    await node.start();
    assert.deepEqual(readdirSync(node.queueFolder), [], "it keeps no later removal from its turn");
    const answer = JSON.parse(await ask(node, request)) as ShimAnswer["result"];
    assert.equal(answer?.code, 6);
    assert.match(`${answer?.msg}`, /another protocol/);
    const pod = lab.namespace("a");
    const added = await runShim(node, { command: "ADD", containerId: "a", netns: pod.name });
    assert.equal(added.exitCode, 0, "others are served");
  }));

test("an agent of another version: the plugin says so, and a DEL is not lost", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab);
    mkdirSync(dirname(node.settings.socketPath), { recursive: true });
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => {
        const answer = encodeAnswer(0, "{}");
        answer.write("9", VERSION_AT);
        socket.end(answer);
      });
    });
    lab.onCleanup(() => void server.close());
    await new Promise<void>((resolve) => server.listen(node.settings.socketPath, resolve));
    const pod = lab.namespace("a");
    const call = { containerId: "a", netns: pod.name };
    const added = await runShim(node, { command: "ADD", ...call });
    assert.deepEqual([added.exitCode, added.result?.code], [1, 11]);
    const removed = await runShim(node, { command: "DEL", ...call });
    assert.deepEqual([removed.exitCode, readdirSync(node.queueFolder).length], [0, 1]);
  }));

function addressesOf({ result }: ShimAnswer): readonly string[] {
  return result?.ips?.map(({ address }) => address) ?? [];
}

/** Sends bytes as a plugin does; resolves to the text of the answer. */
function ask(node: CniNode, request: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = createConnection(node.settings.socketPath, () => socket.write(request));
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.on("error", reject);
    socket.on("close", () => resolve(Buffer.concat(chunks).subarray(16).toString()));
  });
}
