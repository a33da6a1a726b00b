/** How a pod has its programs: by filters at first, then by pinned links, over restarts of its agent in each state (docs/pods.md). */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  attachClsact,
  attachTcx,
  createPinFolder,
  loadNextProgram,
  Program,
  queryClsact,
  queryTcx,
  type TcDirection,
} from "../../datapath/index.js";
import { CLSACT } from "../../operator/apply/attachments.js";
import { startPeer } from "../lifecycle/peer-process.js";
import { eventually } from "../support/eventually.js";
import { type Lab, type Namespace, withNamespaces } from "../support/netns.js";
import { networkPolicy, podRecord, read } from "../support/policy-cluster.js";
import { GATEWAY_MAC } from "./harness.js";
import type { NetworkCall, NetworkState } from "./network-process.js";
import { type NetworkProcess, startNetwork } from "./start-network.js";

const MAC = "02:00:00:00:00:01";
const ADDRESS = "10.1.0.1";
const SPOOFED = "10.1.0.99";
const OUTSIDE = "198.51.100.1";
const GATEWAY = "169.254.1.1";
const OPEN = 7200;
const CLOSED = 7201;
const DIRECTIONS = ["ingress", "egress"] as const;
/** How long nothing may happen before a pod is moved. */
const SOON_MS = 50;

const link = {
  hostName: "slcserver",
  mac: MAC,
  addresses: { ipv4: ADDRESS, ipv6: undefined },
  pod: { namespace: "web", name: "server", uid: "web/server" },
};

type Events = Extract<NetworkCall, { readonly call: "submit" }>["events"];
/** A pod that takes datagrams to one port. */
const events: Events = [
  { type: "upsert", record: read("Namespace", { metadata: { name: "web" } }) },
  {
    type: "upsert",
    record: podRecord("web/server", { ips: [`${ADDRESS}/32`], labels: { app: "server" } }),
  },
  {
    type: "upsert",
    record: read(
      "NetworkPolicy",
      networkPolicy("web/open", {
        podSelector: { matchLabels: { app: "server" } },
        policyTypes: ["Ingress"],
        ingress: [{ ports: [{ port: OPEN, protocol: "UDP" }] }],
      }),
    ),
  },
  { type: "synced" },
];

interface Hook {
  /** Name of the filter's program, and those of the links'. */
  readonly filter: string | undefined;
  readonly links: readonly string[];
}

const byFilters = [
  { filter: "pod_out", links: [] },
  { filter: "pod_in", links: [] },
] as const;
const byLinks = [
  { filter: undefined, links: ["pod_out"] },
  { filter: undefined, links: ["pod_in"] },
] as const;

interface World {
  readonly lab: Lab;
  readonly node: Namespace;
  readonly pod: Namespace;
  readonly outside: Namespace;
  readonly pinRoot: string;
  /** Of ingress and egress. */
  readonly hooks: () => readonly Hook[];
  /** Numbers of the programs there. */
  readonly programs: () => readonly number[];
  /** An agent that has the pod, and has read its source. */
  readonly start: (quietMs?: number) => Promise<NetworkProcess>;
}

function withPod(body: (world: World) => Promise<void>): Promise<void> {
  return withNamespaces(async (lab) => {
    const [node, pod, outside] = ["node", "pod", "outside"].map((name) => lab.namespace(name)) as [
      Namespace,
      Namespace,
      Namespace,
    ];
    node.enter(() => writeFileSync("/proc/sys/net/ipv4/ip_forward", "1"));
    const [index] = lab.veth(
      { namespace: node, name: link.hostName, mac: GATEWAY_MAC },
      { namespace: pod, name: "eth0", mac: MAC, addresses: [`${ADDRESS}/32`, `${SPOOFED}/32`] },
    );
    const words = (text: string) => text.split(" ");
    pod.run("ip", ...words(`route add ${GATEWAY} dev eth0 scope link`));
    pod.run("ip", ...words(`route add default via ${GATEWAY} dev eth0`));
    pod.run("ip", ...words(`neigh add ${GATEWAY} lladdr ${GATEWAY_MAC} nud permanent dev eth0`));
    node.run("ip", ...words(`route add ${ADDRESS} dev ${link.hostName}`));
    node.run("ip", ...words(`neigh add ${ADDRESS} lladdr ${MAC} nud permanent dev slcserver`));
    lab.veth(
      { namespace: node, name: "eth0", addresses: ["198.51.100.2/24"] },
      { namespace: outside, name: "wire", addresses: [`${OUTSIDE}/24`] },
    );
    outside.run("ip", ...words("route add default via 198.51.100.2"));
    const pinRoot = lab.pinFolder();
    const filterAt = (direction: TcDirection) =>
      queryClsact({ ifIndex: index, direction, ...CLSACT });
    await body({
      lab,
      node,
      pod,
      outside,
      pinRoot,
      hooks: () =>
        node.enter(() =>
          DIRECTIONS.map((direction) => {
            const filter = filterAt(direction);
            return {
              filter: filter && nameOf(filter),
              links: queryTcx(index, direction).map(nameOf),
            };
          }),
        ),
      programs: () =>
        node.enter(() =>
          DIRECTIONS.flatMap((direction) => [
            ...queryTcx(index, direction),
            ...[filterAt(direction)].flatMap((id) => id ?? []),
          ]),
        ),
      start: async (quietMs) => {
        const settings = { pinRoot, nodeName: "here", ...(quietMs !== undefined && { quietMs }) };
        const network = await startNetwork(lab, node, settings);
        await network.call({ call: "submit", events });
        await network.call({ call: "attach", link });
        await eventually(async () => {
          assert.equal(await network.call({ call: "check", link }), undefined);
        });
        return network;
      },
    });
  });
}

function nameOf(id: number): string {
  const program = Program.openById(id);
  try {
    return program?.name ?? "gone";
  } finally {
    program?.close();
  }
}

const stateOf = async (network: NetworkProcess) =>
  (await network.call<NetworkState>({ call: "state" })).programs;

describe("programs of a pod", { concurrency: true }, () => {
  it("are moved from filters to links and go through restarts: nothing is lost, nothing else passes", () =>
    withPod(async (world) => {
      const { lab, pod, outside, hooks, programs } = world;
      let network = await world.start();
      assert.deepEqual(hooks(), byFilters);
      assert.deepEqual(await stateOf(network), { tcx: 0, clsact: 1 });

      const [inside, beyond] = [startPeer(lab, pod), startPeer(lab, outside)];
      for (const port of [OPEN, CLOSED]) await inside.call("listen", { port });
      await beyond.call("listen", { port: OPEN });
      const streams = [
        { by: beyond, at: inside, from: OUTSIDE, to: ADDRESS, port: OPEN, passes: true },
        { by: beyond, at: inside, from: OUTSIDE, to: ADDRESS, port: CLOSED, passes: false },
        { by: inside, at: beyond, from: ADDRESS, to: OUTSIDE, port: OPEN, passes: true },
        { by: inside, at: beyond, from: SPOOFED, to: OUTSIDE, port: OPEN, passes: false },
      ].map((stream, at) => ({ ...stream, stream: `stream-${at}` }));
      for (const { by, from, to, port, stream } of streams) {
        await by.call("startStream", { from, to, port, stream, perSecond: 500 });
      }

      const restart = async (quietMs?: number) => {
        const before = programs();
        await network.kill();
        network = await world.start(quietMs);
        const after = programs();
        assert.ok(before.every((id) => !after.includes(id)));
      };
      await restart();
      assert.deepEqual(hooks(), byFilters);
      await restart(SOON_MS);
      await eventually(() => assert.deepEqual(hooks(), byLinks));
      assert.deepEqual(await stateOf(network), { tcx: 1, clsact: 0 });
      assert.equal(await network.call({ call: "check", link }), undefined);
      await restart();
      assert.deepEqual(hooks(), byLinks);
      assert.deepEqual(await stateOf(network), { tcx: 1, clsact: 0 });

      for (const { by, at, stream, passes } of streams) {
        const sent = await by.call("endStream", { stream });
        assert.ok(sent > 100);
        await eventually(async () => {
          assert.equal(await at.call("heard", { stream }), passes ? sent : 0, stream);
        });
      }
    }));

  for (const [state, program] of [
    ["the link holds the place", undefined],
    ["the link has the program, and the filter is still there", "podOut"],
  ] as const) {
    it(`what an agent left that was killed in the middle of a move is taken over: ${state}`, () =>
      withPod(async ({ lab, node, pinRoot, hooks, start, programs }) => {
        const network = await start();
        const [podOut] = programs();
        const before = program === undefined ? loadNextProgram() : Program.openById(podOut!)!;
        lab.onCleanup(() => before.close());
        await network.kill();
        const folder = join(pinRoot, "pod-links");
        createPinFolder(folder);
        node.enter(() => {
          const index = node.indexOf(link.hostName);
          const made = attachTcx(before, index, "ingress");
          made.pin(join(folder, `pod-out-${index}`));
          made.close();
        });
        assert.deepEqual(hooks()[0], { filter: "pod_out", links: [before.name] });
        const next = await start();
        assert.deepEqual(hooks(), [byLinks[0], byFilters[1]]);
        assert.deepEqual(await stateOf(next), { tcx: 0, clsact: 1 });
      }));
  }

  it("of another table layout judge as filters until the tables here are filled", () =>
    withPod(async ({ lab, node, hooks, start, programs }) => {
      await (await start()).kill();
      const before = programs();
      /* No row of its tables knows the pod. */
      const network = await startNetwork(lab, node, { pinRoot: lab.pinFolder(), nodeName: "here" });
      await network.call({ call: "attach", link });
      assert.deepEqual(programs(), before);
      await network.call({ call: "submit", events });
      await eventually(() => assert.ok(programs().every((id) => !before.includes(id))));
      assert.deepEqual(hooks(), byFilters);
    }));

  it("that another tool took off come back, as links", () =>
    withPod(async ({ node, hooks, start }) => {
      const network = await start();
      node.run("tc", "qdisc", "delete", "dev", link.hostName, "clsact");
      assert.deepEqual(
        hooks().map(({ filter }) => filter),
        [undefined, undefined],
      );
      assert.match(String(await network.call({ call: "check", link })), /pod-out is missing/);
      await eventually(() => assert.deepEqual(hooks(), byLinks), 30_000);
      assert.equal(await network.call({ call: "check", link }), undefined);
      assert.deepEqual(await stateOf(network), { tcx: 1, clsact: 0 });
    }));

  it("are moved without the filter of another owner", () =>
    withPod(async ({ lab, node, hooks, start }) => {
      const other = loadNextProgram();
      lab.onCleanup(() => other.close());
      const ifIndex = node.indexOf(link.hostName);
      const filter = { ifIndex, direction: "ingress", handle: 7, priority: 7 } as const;
      const first = await start();
      node.enter(() => attachClsact(other, filter));
      assert.deepEqual(hooks(), byFilters);
      await first.kill();
      await start(SOON_MS);
      await eventually(() => assert.deepEqual(hooks(), byLinks));
      assert.equal(
        node.enter(() => queryClsact(filter)),
        other.info().id,
      );
    }));

  it("are links at once where another tool has a qdisc, which may have no egress", () =>
    withPod(async ({ node, hooks, start }) => {
      node.run("tc", "qdisc", "add", "dev", link.hostName, "ingress");
      const network = await start();
      assert.deepEqual(hooks(), byLinks);
      assert.deepEqual(await stateOf(network), { tcx: 1, clsact: 0 });
    }));
});
