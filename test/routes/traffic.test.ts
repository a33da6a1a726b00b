/** Packets between pods, nodes and the outside, over three nodes of which one is behind a router. */

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { Peer } from "../lifecycle/peer-process.js";
import { eventually } from "../support/eventually.js";
import { farMtu, type RoutesLab, withRoutesLab } from "./lab.js";

const port = 8080;
const megabyte = "x".repeat(1_000_000);

/** Opens a connection; the address that the other side sees. */
async function seenFrom(from: Peer, to: Peer, address: string): Promise<string> {
  await to.call("lastCaller", {});
  assert.equal(await from.call("tryTcp", { to: address, port, timeoutMs: 5000 }), "open", address);
  let seen = "";
  await eventually(async () => {
    seen = await to.call("lastCaller", {});
    assert.notEqual(seen, "");
  });
  return seen;
}

async function serveAll({ nodes, outsider }: RoutesLab): Promise<void> {
  const peers = [...nodes.flatMap(({ peer, pod }) => [peer, pod.peer]), outsider];
  await Promise.all(peers.map((peer) => peer.call("serveTcp", { port })));
}

/** Sends a megabyte each way. */
async function transfers(from: Peer, to: Peer, address: string): Promise<void> {
  const local = await from.call("openTcp", { name: address, to: address, port });
  const accepted = `accepted ${local}`;
  await from.call("tellTcp", { name: address, text: megabyte });
  await to.call("tellTcp", { name: accepted, text: megabyte });
  await eventually(async () => {
    assert.equal((await to.call("heardTcp", { name: accepted })).length, megabyte.length);
    assert.equal((await from.call("heardTcp", { name: address })).length, megabyte.length);
  });
}

/** What reaches what, with which source, whatever the mode. */
async function everybody(context: TestContext, lab: RoutesLab): Promise<void> {
  const { nodes } = lab;
  for (const family of ["ipv4", "ipv6"] as const) {
    const nodeAddress = (index: number) => nodes[index]!.text.addresses[family === "ipv4" ? 0 : 1]!;
    await context.test(
      `pods reach pods of other nodes with their own address, ${family}`,
      async () => {
        for (const [from, to] of [
          [0, 1],
          [1, 2],
          [2, 0],
        ] as const) {
          const [client, server] = [nodes[from]!.pod, nodes[to]!.pod];
          assert.equal(await seenFrom(client.peer, server.peer, server[family]), client[family]);
        }
      },
    );
    await context.test(
      `a node and pods of others, both ways, with their own address, ${family}`,
      async () => {
        for (const [from, to] of [
          [0, 1],
          [1, 2],
          [2, 0],
        ] as const) {
          const { pod, peer } = nodes[to]!;
          assert.equal(await seenFrom(nodes[from]!.peer, pod.peer, pod[family]), nodeAddress(from));
          assert.equal(
            await seenFrom(nodes[from]!.pod.peer, peer, nodeAddress(to)),
            nodes[from]!.pod[family],
          );
        }
      },
    );
    await context.test(
      `pods reach the outside with the address of their node, ${family}`,
      async () => {
        const to = family === "ipv4" ? "10.9.0.9" : "fd00:9::9";
        assert.equal(await seenFrom(nodes[0].pod.peer, lab.outsider, to), nodeAddress(0));
        assert.equal(await seenFrom(nodes[2].pod.peer, lab.outsider, to), nodeAddress(2));
      },
    );
    await context.test(`an outside with a route reaches pods, ${family}`, async () => {
      const range = nodes[0].text.podCidrs[family === "ipv4" ? 0 : 1]!;
      lab.outside.run("ip", "route", "add", range, "via", nodeAddress(0));
      const { pod } = nodes[0];
      const source = family === "ipv4" ? "10.9.0.9" : "fd00:9::9";
      assert.equal(await seenFrom(lab.outsider, pod.peer, pod[family]), source);
    });
    await context.test(`an address that no pod has is refused at once, ${family}`, async () => {
      const unused = family === "ipv4" ? "10.244.2.77" : "fd00:244:2::77";
      const outcome = await nodes[0].pod.peer.call("tryTcp", { to: unused, port, timeoutMs: 2000 });
      assert.equal(outcome, "refused");
    });
  }
}

/** A smaller MTU on the way: what does not fit is told to its sender, and TCP goes on. */
async function smallerMtu(lab: RoutesLab, expected: Readonly<Record<"ipv4" | "ipv6", number>>) {
  const [{ pod: from }, , { pod: to }] = lab.nodes;
  for (const family of ["ipv4", "ipv6"] as const) {
    await to.peer.call("listen", { port: family === "ipv4" ? 7004 : 7006 });
    const stream = "y".repeat(1400);
    let number = 0;
    /* The path is known after the first that was refused; a tunnel needs one more to hand it on. */
    await eventually(async () => {
      const datagram = {
        from: from[family],
        to: to[family],
        port: family === "ipv4" ? 7004 : 7006,
      };
      await from.peer.call("send", { ...datagram, stream, number: ++number });
      const path = from.ns.run("ip", "-o", "route", "get", to[family]);
      assert.match(path, new RegExp(` mtu ${expected[family]} `), path);
    });
    await transfers(from.peer, to.peer, to[family]);
    await transfers(to.peer, from.peer, from[family]);
  }
}

test("in tunnels", async (context) => {
  await withRoutesLab(async (lab) => {
    await serveAll(lab);
    await lab.start();
    await everybody(context, lab);
    await context.test("the network between nodes sees no address of a pod", () => {
      const seen = lab.router.run("ip", "neigh", "show");
      assert.doesNotMatch(seen, /244/);
      assert.equal(lab.router.run("ip", "route", "show").includes("244"), false);
    });
    await context.test("a smaller MTU on the way", () =>
      smallerMtu(lab, { ipv4: farMtu - 50, ipv6: farMtu - 50 }),
    );
  });
});

test("directly, with an underlay that routes podCIDRs behind it", async (context) => {
  await withRoutesLab(async (lab) => {
    await serveAll(lab);
    /* The router knows what is behind it, as by BGP. */
    for (const { text } of lab.nodes) {
      text.podCidrs.forEach((cidr, index) => {
        lab.router.run("ip", "route", "add", cidr, "via", text.addresses[index]!);
      });
    }
    await lab.start({ routing: "direct" });
    await everybody(context, lab);
    await context.test("a node that is not on the wire is named", async () => {
      const { problems, nodes } = await lab.nodes[0].routes.state();
      assert.deepEqual(
        problems.map(({ code }) => code),
        ["SLUICE_NOT_ON_LINK"],
      );
      assert.match(problems[0]?.message ?? "", /^node node3: not on the wire/);
      assert.equal(nodes, 1);
    });
    await context.test("a smaller MTU on the way", () =>
      smallerMtu(lab, { ipv4: farMtu, ipv6: farMtu }),
    );
  });
});
