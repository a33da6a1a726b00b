/** Many changes at once, as an agent's pod network meets them: what is in force at the end, and meanwhile. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Limits } from "../../datapath/generated/layout.js";
import { TcAction } from "../../datapath/index.js";
import { eventually } from "../support/eventually.js";
import { withNamespaces } from "../support/netns.js";
import { eth, ipv4, packet } from "../support/packets.js";
import { networkPolicy, podRecord, read, type TestPod } from "../support/policy-cluster.js";
import { tcp } from "../support/transports.js";
import { GATEWAY_MAC } from "./harness.js";
import type { NetworkCall, NetworkState } from "./network-process.js";
import { startNetwork } from "./start-network.js";

type Events = Extract<NetworkCall, { readonly call: "submit" }>["events"];

const SERVER = "web/server";
const SERVER_MAC = "02:00:00:00:00:01";
const SERVER_ADDRESS = "10.1.0.1";

const upsert = (record: Extract<Events[number], { type: "upsert" }>["record"]) =>
  ({ type: "upsert", record }) as const;
const pod = (key: string, spec: TestPod) => upsert(podRecord(key, spec));
const policy = (name: string, spec: object) =>
  upsert(read("NetworkPolicy", networkPolicy(`web/${name}`, spec)));
const addressOf = (at: number) => `10.1.${1 + (at >> 8)}.${at & 255}`;
const remote = (at: number, app: string) =>
  pod(`web/r${at}`, { ips: [`${addressOf(at)}/32`], labels: { app }, isRemote: true });
const clientsOnly = policy("clients", {
  podSelector: { matchLabels: { app: "server" } },
  ingress: [{ from: [{ podSelector: { matchLabels: { app: "client" } } }], ports: [{ port: 80 }] }],
});

describe("1,000 policies in one second", () => {
  const portOf = (at: number) => 2000 + at;
  const events = Array.from({ length: 1000 }, (_, at) =>
    policy(`p${at}`, {
      podSelector: { matchLabels: { app: "server" } },
      ingress: [{ from: [{ podSelector: {} }], ports: [{ port: portOf(at) }] }],
    }),
  );

  it("are all in force soon after the last, and meanwhile nothing else passes or is cut", () =>
    withNetwork(async (network) => {
      await network.submit([clientsOnly, remote(1, "client"), remote(2, "other")]);
      await eventually(async () => assert.equal((await network.state()).policies, 1));
      const before = (await network.state()).applications;
      for (let at = 0; at < events.length; at += 50) {
        await network.submit(events.slice(at, at + 50));
        /* What was allowed before, and what no policy allows. */
        assert.deepEqual(await network.receive([1, 80], [1, 9], [2, 80]), [true, false, false]);
      }
      await eventually(async () => assert.equal((await network.state()).policies, 1001));
      const { applications, rules, applyError, problems } = await network.state();
      assert.deepEqual([applyError, problems], [undefined, []]);
      assert.equal(rules, 1000 + 1 + 1 + 1, "one each, isolation, neighbour discovery");
      assert.ok(applications - before < 200, `${applications - before} applications`);
      const ports = [0, 1, 499, 998, 999].map((at) => [2, portOf(at)] as const);
      assert.deepEqual(await network.receive(...ports, [2, portOf(1000)]), [
        true,
        true,
        true,
        true,
        true,
        false,
      ]);
      await network.submit(
        events.map(({ record: { name } }) => {
          return { type: "delete", kind: "NetworkPolicy", namespace: "web", name } as const;
        }),
      );
      await eventually(async () => assert.equal((await network.state()).policies, 1));
      assert.deepEqual(await network.receive([2, portOf(5)], [1, 80]), [false, true]);
    }));
});

describe("a policy with more rules than there are bits", () => {
  const server = { podSelector: { matchLabels: { app: "server" } } };
  const rules = (count: number) =>
    Array.from({ length: count }, (_, at) => ({ ports: [{ port: 1000 + at }] }));

  it("is refused and named, the others stay in force; with fewer it is in force too", () =>
    withNetwork(async (network) => {
      await network.submit([clientsOnly, remote(1, "client"), remote(2, "other")]);
      const large = (count: number) => policy("large", { ...server, ingress: rules(count) });
      await network.submit([large(Limits.MAX_POD_RULES)]);
      await eventually(async () => {
        const { problems, policies } = await network.state();
        assert.deepEqual([problems.length, policies], [1, 1]);
        assert.match(problems[0]!, /NetworkPolicy web\/large needs 8192/);
      });
      assert.deepEqual(await network.receive([1, 80], [2, 80], [2, 1000]), [true, false, false]);
      await network.submit([large(5000)]);
      await eventually(async () => {
        const { problems, policies } = await network.state();
        assert.deepEqual([problems, policies], [[], 2]);
      });
      assert.deepEqual(await network.receive([1, 80], [2, 80], [2, 1000], [2, 5999], [2, 6000]), [
        true,
        false,
        true,
        true,
        false,
      ]);
    }));
});

describe("a storm of labels", () => {
  it("ends with what the last labels say; a pod that keeps its own is never cut off", () =>
    withNetwork(async (network) => {
      const all = Array.from({ length: 1000 }, (_, at) => at);
      await network.submit([clientsOnly, ...all.map((at) => remote(at, "client"))]);
      await eventually(async () => assert.deepEqual(await network.receive([0, 80]), [true]));
      for (let round = 0; round < 4; round++) {
        for (let at = 1; at < all.length; at += 100) {
          const some = all.slice(at, at + 100);
          await network.submit(some.map((one) => remote(one, round % 2 === 0 ? "no" : "client")));
          assert.deepEqual(await network.receive([0, 80]), [true]);
        }
      }
      const last = (at: number) => (at % 3 === 0 ? "client" : "no");
      await network.submit(all.map((at) => remote(at, last(at))));
      const probes = [0, 1, 2, 3, 255, 256, 257, 998, 999];
      await eventually(async () => {
        assert.deepEqual(
          await network.receive(...probes.map((at) => [at, 80] as const)),
          probes.map((at) => last(at) === "client"),
        );
      });
    }));
});

describe("an address that two pods have", () => {
  const at7 = (name: string, app: string, more: Partial<TestPod> = {}) =>
    pod(`web/${name}`, { ips: [`${addressOf(7)}/32`], labels: { app }, isRemote: true, ...more });
  const gone = (name: string) => ({ type: "delete", kind: "Pod", namespace: "web", name }) as const;

  it("counts as both while both run, and as the one that is left", () =>
    withNetwork(async (network) => {
      const settles = (isAllowed: boolean) =>
        eventually(async () => assert.deepEqual(await network.receive([7, 80]), [isAllowed]));
      await network.submit([clientsOnly, at7("one", "client")]);
      await settles(true);
      /* Completed: the address is the other's alone (N24). */
      await network.submit([at7("one", "client", { isCompleted: true }), at7("two", "other")]);
      await settles(false);
      await network.submit([at7("one", "client")]);
      await settles(true);
      await network.submit([at7("two", "client")]);
      await network.submit([gone("one"), remote(8, "client")]);
      await eventually(async () => assert.deepEqual(await network.receive([8, 80]), [true]));
      await settles(true);
      await network.submit([gone("two")]);
      await settles(false);
    }));
});

interface Network {
  submit(events: Events): Promise<void>;
  state(): Promise<NetworkState>;
  /** Whether packets of remote pods to ports of the server pass. */
  receive(...probes: readonly (readonly [remote: number, port: number])[]): Promise<boolean[]>;
}

/** A node with one pod of its own, `web/server`. */
function withNetwork(body: (network: Network) => Promise<void>): Promise<void> {
  return withNamespaces(async (lab) => {
    const node = lab.namespace("node");
    node.run("ip", ...`link add slcserver address ${GATEWAY_MAC} type veth peer p`.split(" "));
    const settings = { pinRoot: lab.pinFolder(), nodeName: "here" };
    const { call } = await startNetwork(lab, node, settings);
    const index = node.indexOf("slcserver");
    const submit = (events: Events) => call<void>({ call: "submit", events });
    await submit([
      upsert(read("Namespace", { metadata: { name: "web" } })),
      pod(SERVER, { ips: [`${SERVER_ADDRESS}/32`], labels: { app: "server" } }),
      { type: "synced" },
    ]);
    const link = {
      hostName: "slcserver",
      mac: SERVER_MAC,
      addresses: { ipv4: SERVER_ADDRESS, ipv6: undefined },
      pod: { namespace: "web", name: "server", uid: SERVER },
    };
    await call({ call: "attach", link });
    await body({
      submit,
      state: () => call({ call: "state" }),
      async receive(...probes) {
        const frames = probes.map(([from, port]) => frame(addressOf(from), port));
        const verdicts = await call<readonly number[]>({ call: "receive", index, frames });
        return verdicts.map((verdict) => verdict !== TcAction.shot);
      },
    });
  });
}

function frame(source: string, destinationPort: number): Buffer {
  const head = eth({ source: GATEWAY_MAC, destination: SERVER_MAC });
  return packet(
    head,
    ipv4({ source, destination: SERVER_ADDRESS }),
    tcp({ destinationPort, flags: ["SYN"] }),
  );
}
