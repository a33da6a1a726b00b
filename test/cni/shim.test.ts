import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync, rmSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Namespace, withNamespaces } from "../support/netns.js";
import { eventually } from "../support/eventually.js";
import { createNode, runShim } from "./node.js";

/** Connects to a port where nobody listens: what comes back says whether packets pass both ways. */
function knock(from: Namespace, target: string): string {
  const command = [
    `--net=${from.path}`,
    "timeout",
    "2",
    "bash",
    "-c",
    `exec 3<>/dev/tcp/${target}/9`,
  ];
  return spawnSync("nsenter", command, { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } })
    .stderr;
}

test("a pod reaches its node and another pod, v4 and v6, through what ADD made", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab);
    await node.start();
    const pods = [lab.namespace("a"), lab.namespace("b")] as const;
    const answers = [];
    for (const pod of pods) {
      const answer = await runShim(node, {
        command: "ADD",
        containerId: pod.name,
        netns: pod.name,
      });
      assert.equal(answer.exitCode, 0, JSON.stringify(answer));
      assert.equal(answer.stderr, "");
      answers.push(answer);
    }
    node.namespace.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
    node.namespace.run("ip", "address", "add", "192.0.2.1/32", "dev", "lo");
    node.namespace.run("ip", "address", "add", "2001:db8::1/128", "dev", "lo", "nodad");
    const addresses = answers[1]?.result?.ips?.map(({ address }) => address);
    assert.deepEqual(addresses, ["10.244.1.3/32", "fd00:244:1::3/128"]);
    for (const target of ["192.0.2.1", "2001:db8::1", "10.244.1.3", "fd00:244:1::3"]) {
      assert.match(knock(pods[0], target), /refused/, target);
    }
    for (const target of ["10.244.1.2", "fd00:244:1::2"]) {
      assert.match(knock(node.namespace, target), /refused/, target);
    }
    assert.doesNotMatch(knock(pods[0], "10.244.1.77"), /refused/);
    assert.match(pods[0].run("cat", "/proc/sys/net/ipv6/conf/eth0/accept_ra"), /^0$/m);
  }));

test("a pod has the MTU, MAC and address that the runtime asks for", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab);
    await node.start();
    const pod = lab.namespace("a");
    const { exitCode, result } = await runShim(node, {
      command: "ADD",
      containerId: "a",
      netns: pod.name,
      config: { mtu: 1400, runtimeConfig: { ips: ["10.244.1.99/24"], mac: "02:00:00:00:00:99" } },
    });
    assert.equal(exitCode, 0, JSON.stringify(result));
    const link = pod.run("ip", "address", "show", "eth0");
    assert.match(link, /mtu 1400/);
    assert.match(link, /02:00:00:00:00:99/);
    assert.match(link, /inet 10\.244\.1\.99\/32/);
  }));

test("while no agent answers: DEL is queued and done at the next start, the rest is refused", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab);
    const pod = lab.namespace("a");
    const call = { containerId: "a", netns: pod.name };
    const before = await node.start();
    assert.equal((await runShim(node, { command: "ADD", ...call })).exitCode, 0);
    await before.kill();
    for (const [command, code] of [
      ["ADD", 11],
      ["CHECK", 11],
      ["GC", 11],
      ["STATUS", 50],
    ] as const) {
      const { exitCode, result } = await runShim(node, { command, ...call });
      assert.deepEqual([exitCode, result?.code], [1, code], command);
    }
    assert.equal(
      (await runShim(node, { command: "VERSION" })).result?.supportedVersions?.length,
      7,
    );
    for (let i = 0; i < 2; i++) {
      const removed = await runShim(node, { command: "DEL", ...call });
      assert.deepEqual([removed.exitCode, removed.result], [0, undefined]);
    }
    assert.equal(readdirSync(node.queueFolder).length, 1);
    // Neither a cut-off file nor the leftover of a killed shim is in the way.
    writeFileSync(join(node.queueFolder, "0000000000000000.del"), "sluicni1");
    writeFileSync(join(node.queueFolder, "1.new"), "");
    const after = await node.start();
    assert.deepEqual(readdirSync(node.queueFolder), ["1.new"]);
    assert.deepEqual(node.podLinks(), []);
    assert.deepEqual(node.stateFiles(), []);
    assert.deepEqual(await after.state(), { attachments: 0, used: [0, 0], attached: 0 });
  }));

test("errors of ADD have the codes of the specification and leave nothing behind", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab, { podCidrs: ["10.244.1.0/29"] });
    const server = await node.start();
    const pod = lab.namespace("a");
    const other = lab.namespace("b");
    other.run("ip", "link", "add", "eth0", "type", "veth", "peer", "eth1");
    writeFileSync("/run/netns/" + pod.name + "-file", "");
    lab.onCleanup(() => rmSync("/run/netns/" + pod.name + "-file"));
    const add = { command: "ADD", containerId: "a", netns: pod.name };
    for (const [name, call, code] of [
      ["gone", { netns: "slt-none" }, 3],
      ["no namespace", { netns: `${pod.name}-file` }, 3],
      ["the node's own", { netns: node.namespace.name }, 4],
      ["no container", { containerId: "" }, 4],
      ["a foreign eth0", { netns: other.name }, 101],
      ["hostPort", { config: { runtimeConfig: { portMappings: [{ hostPort: 1 }] } } }, 7],
      ["version", { config: { cniVersion: "3.0.0" } }, 1],
      ["no policy", { args: "K8S_POD_NAME=refused" }, 103],
      ["another node's address", { config: { runtimeConfig: { ips: ["10.9.9.9"] } } }, 7],
    ] as const) {
      const { exitCode, result } = await runShim(node, { ...add, ...call });
      assert.deepEqual([exitCode, result?.code], [1, code], `${name}: ${JSON.stringify(result)}`);
      assert.deepEqual(node.podLinks(), [], name);
      assert.deepEqual(node.stateFiles(), [], name);
      assert.deepEqual(await server.state(), { attachments: 0, used: [0], attached: 0 }, name);
    }
    assert.match(other.run("ip", "link", "show", "eth0"), /eth0/);
    // Two calls for one container at once: one is told that it is attached.
    const both = await Promise.all([runShim(node, add), runShim(node, add)]);
    const codes = both.map(({ result }) => result?.code);
    assert.deepEqual(new Set(codes), new Set([101, undefined]));
    const wanted = {
      runtimeConfig: {
        ips: both.flatMap(({ result }) => result?.ips ?? []).map(({ address }) => address),
      },
    };
    const taken = await runShim(node, { ...add, containerId: "b", config: wanted });
    assert.equal(taken.result?.code, 105);
  }));

test("a full node is told apart, and has room again after DEL", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab, { podCidrs: ["10.244.1.0/30"] });
    const server = await node.start();
    const pods = [lab.namespace("a"), lab.namespace("b")];
    const add = (i: number) =>
      runShim(node, { command: "ADD", containerId: `c${i}`, netns: pods[i]?.name ?? "" });
    assert.equal((await add(0)).exitCode, 0);
    const refused = await add(1);
    assert.equal(refused.result?.code, 100);
    assert.match(refused.result?.msg ?? "", /10\.244\.1\.0\/30 \(1 in use\)/);
    // A runtime would take the whole node for broken.
    assert.equal((await runShim(node, { command: "STATUS" })).exitCode, 0);
    assert.equal((await runShim(node, { command: "DEL", containerId: "c0" })).exitCode, 0);
    assert.equal((await add(1)).exitCode, 0);
    assert.equal((await server.state()).attachments, 1);
  }));

test("a container whose namespace was deleted is detached, also a second time", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab);
    const server = await node.start();
    const pod = `${lab.namespace("a").name}-x`;
    node.namespace.run("ip", "netns", "add", pod);
    let isThere = true;
    lab.onCleanup(() => {
      if (isThere) node.namespace.run("ip", "netns", "delete", pod);
    });
    const call = { containerId: "a", netns: pod };
    assert.equal((await runShim(node, { command: "ADD", ...call })).exitCode, 0);
    node.namespace.run("ip", "netns", "delete", pod);
    isThere = false;
    for (let i = 0; i < 2; i++) {
      assert.equal((await runShim(node, { command: "DEL", ...call })).exitCode, 0);
    }
    assert.deepEqual(await server.state(), { attachments: 0, used: [0, 0], attached: 0 });
  }));

test("a burst of 100 pods at once: all are attached, and none has another's address", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab);
    const server = await node.start();
    const pods = Array.from({ length: 100 }, (_, i) => lab.namespace(`p${i}`));
    const answers = await Promise.all(
      pods.map((pod) => runShim(node, { command: "ADD", containerId: pod.name, netns: pod.name })),
    );
    assert.deepEqual(
      answers.filter(({ exitCode }) => exitCode !== 0),
      [],
    );
    const addresses = answers.flatMap(({ result }) => result?.ips ?? []).map((ip) => ip.address);
    assert.equal(new Set(addresses).size, 200);
    assert.deepEqual(await server.state(), { attachments: 100, used: [100, 100], attached: 100 });
  }));

test("corrupt state is put aside and taken from the links", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab);
    const pod = lab.namespace("a");
    const first = await node.start();
    const call = { containerId: "a", netns: pod.name, args: "K8S_POD_UID=0b1c-2" };
    const added = await runShim(node, { command: "ADD", ...call });
    await first.kill();
    const [name = ""] = node.stateFiles();
    writeFileSync(join(node.stateFolder, name), '{"containerId":');
    writeFileSync(join(node.stateFolder, "cursors"), "\0\0 nonsense");
    const second = await node.start();
    assert.equal(readFileSync(join(node.stateFolder, "corrupt", name), "utf8"), '{"containerId":');
    assert.deepEqual(await second.state(), { attachments: 1, used: [1, 1], attached: 1 });
    const stored = JSON.parse(readFileSync(join(node.stateFolder, name), "utf8")) as {
      pod: object;
    };
    assert.deepEqual(stored.pod, { uid: "0b1c-2" });
    const config = { prevResult: added.result };
    assert.equal((await runShim(node, { command: "CHECK", ...call, config })).exitCode, 0);
    assert.equal((await runShim(node, { command: "DEL", ...call })).exitCode, 0);
    assert.deepEqual(node.stateFiles(), []);
  }));

test("a full or read-only state folder: code 5, STATUS 50, nothing left; and better again afterwards", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab);
    mkdirSync(node.stateFolder);
    const mount = (...args: readonly string[]) => node.namespace.run("mount", ...args);
    mount("-t", "tmpfs", "-o", "size=16k", "tmpfs", node.stateFolder);
    lab.onCleanup(() => void node.namespace.run("umount", "-l", node.stateFolder));
    const server = await node.start();
    const pod = lab.namespace("a");
    const add = () => runShim(node, { command: "ADD", containerId: "a", netns: pod.name });
    const expectRefused = async () => {
      assert.equal((await add()).result?.code, 5);
      assert.deepEqual(node.podLinks(), []);
      assert.deepEqual(await server.state(), { attachments: 0, used: [0, 0], attached: 0 });
    };
    const filler = join(node.stateFolder, "filler");
    assert.throws(() => writeFileSync(filler, Buffer.alloc(1 << 16)), { code: "ENOSPC" });
    await expectRefused();
    rmSync(filler);
    mount("-o", "remount,ro", node.stateFolder);
    await expectRefused();
    assert.equal((await runShim(node, { command: "STATUS" })).result?.code, 50);
    mount("-o", "remount,rw", node.stateFolder);
    assert.equal((await add()).exitCode, 0);
    mount("-o", "remount,ro", node.stateFolder);
    // What cannot be forgotten on disk keeps its address, and the runtime tries again.
    assert.equal((await runShim(node, { command: "DEL", containerId: "a" })).result?.code, 5);
    assert.deepEqual((await server.state()).used, [1, 1]);
    mount("-o", "remount,rw", node.stateFolder);
    assert.equal((await runShim(node, { command: "DEL", containerId: "a" })).exitCode, 0);
    assert.deepEqual(await server.state(), { attachments: 0, used: [0, 0], attached: 0 });
    assert.equal(existsSync(filler), false);
  }));

test("GC keeps the given attachments and those of other networks; without a list, every live one", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab);
    const server = await node.start();
    for (const [id, name] of [
      ["a", "net"],
      ["b", "net"],
      ["c", "other"],
    ] as const) {
      const pod = lab.namespace(id);
      const call = { command: "ADD", containerId: id, netns: pod.name, config: { name } };
      assert.equal((await runShim(node, call)).exitCode, 0);
    }
    assert.equal((await runShim(node, { command: "GC" })).exitCode, 0);
    assert.equal((await server.state()).attachments, 3);
    const valid = [{ containerID: "a", ifname: "eth0" }];
    const config = { "cni.dev/valid-attachments": valid };
    assert.equal((await runShim(node, { command: "GC", config })).exitCode, 0);
    assert.equal((await server.state()).attachments, 2);
    assert.equal(node.podLinks().length, 2);
    await runShim(node, { command: "GC", config: { "cni.dev/valid-attachments": null } });
    assert.equal((await server.state()).attachments, 1);
  }));

test("a namespace that goes in the middle of ADD, and a caller that goes: nothing is left", () =>
  withNamespaces(async (lab) => {
    const node = createNode(lab, { policyMs: 2000 });
    const server = await node.start();
    const pods = Array.from({ length: 6 }, (_, i) => `${node.namespace.name}-gone${i}`);
    const there = new Set<string>();
    lab.onCleanup(() => {
      for (const name of there) node.namespace.run("ip", "netns", "delete", name);
    });
    const calls = pods.map((name, i) => {
      node.namespace.run("ip", "netns", "add", name);
      there.add(name);
      const call = { command: "ADD", containerId: `c${i}`, netns: name };
      return runShim(node, i % 2 === 0 ? call : { ...call, killAfterMs: 300 });
    });
    await eventually(() => assert.equal(node.podLinks().length, pods.length));
    for (const [i, name] of pods.entries()) {
      if (i % 2 !== 0) continue;
      node.namespace.run("ip", "netns", "delete", name);
      there.delete(name);
    }
    const answers = await Promise.all(calls);
    const codes = answers.filter((_, i) => i % 2 === 0).map(({ result }) => result?.code);
    assert.deepEqual(codes, [102, 102, 102]);
    await eventually(async () => {
      assert.deepEqual(await server.state(), { attachments: 0, used: [0, 0], attached: 0 });
    });
    assert.deepEqual(node.podLinks(), []);
    assert.deepEqual(node.stateFiles(), []);
  }));
