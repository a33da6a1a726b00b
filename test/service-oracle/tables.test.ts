/** The tables of `specs/`, against the compiled rows and against the oracle. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { answerOf, healthOf } from "./oracle.js";
import { CompiledServices } from "./subject.js";
import type { Answer, NodeSetup, Packet, Protocol, World } from "./world.js";

interface Spec {
  readonly id: string;
  readonly setup?: Partial<NodeSetup>;
  readonly steps: readonly (Partial<Pick<World, "services" | "slices">> & {
    readonly flows: readonly string[];
    readonly gone?: readonly string[];
    readonly problems?: readonly string[];
    /** Local ready endpoints by Service. */
    readonly health?: Readonly<Record<string, number>>;
  })[];
}

const NODE: NodeSetup = {
  name: "node-1",
  zone: "zone-1",
  ownAddresses: ["192.168.0.2", "192.168.99.2", "127.0.0.1", "fd00:192::2", "::1"],
  nodePortAddresses: ["192.168.0.2", "fd00:192::2"],
  podRanges: ["10.0.0.0/8", "fd00:10::/32"],
  serviceRanges: ["172.30.0.0/16", "fd00:172:30::/112"],
  nodeAddresses: ["192.168.0.2", "192.168.0.3", "fd00:192::2"],
  knowsPods: true,
  masqueradeAll: false,
};

function loadSpecs(file: string): unknown {
  // The sources are two folders above the compiled file's.
  const url = new URL(`../../../test/service-oracle/specs/${file}.yaml`, import.meta.url);
  return parse(readFileSync(fileURLToPath(url), "utf8"), { merge: true }) as unknown;
}

function parseFlow(text: string): readonly [packet: Packet, answer: Answer] {
  const match = /^(?:(TCP|UDP|SCTP) )?(\S+) -> (\S+):(\d+) = (.+)$/.exec(text);
  assert.ok(match !== null, text);
  const [, protocol = "TCP", source = "", destination = "", port, said = ""] = match;
  const packet = { source, destination, port: Number(port), protocol: protocol as Protocol };
  const isWord = /^[A-Z]+$/.test(said);
  return [packet, isWord ? (said.toLowerCase() as Answer) : said.split(", ").sort()];
}

function check(world: World, subject: CompiledServices, flows: readonly string[]): void {
  for (const flow of flows) {
    const [packet, answer] = parseFlow(flow);
    assert.deepEqual(answerOf(world, packet), answer, `the oracle on ${flow}`);
    assert.deepEqual(subject.judge(packet), answer, `the rows on ${flow}`);
  }
}

for (const file of ["packet-flows", "endpoints", "conflicts"]) {
  describe(`the tables of ${file}`, () => {
    for (const { id, setup, steps } of loadSpecs(file) as readonly Spec[]) {
      it(id, () => {
        let world: World = { node: { ...NODE, ...setup }, services: [], slices: [] };
        const subject = new CompiledServices(world);
        for (const { services, slices, flows, gone, problems, health } of steps) {
          world = {
            node: world.node,
            services: services ?? world.services,
            slices: slices ?? world.slices,
          };
          subject.load(world);
          check(world, subject, flows);
          if (problems !== undefined) {
            const codes = subject.compiler.problems().map(({ code }) => code);
            assert.deepEqual(codes, problems);
          }
          if (health !== undefined) {
            const counts = subject.compiler
              .healthChecks()
              .map(({ namespace, name, localEndpoints }) => [
                `${namespace}/${name}`,
                localEndpoints[4],
              ]);
            assert.deepEqual(Object.fromEntries(counts), health);
            assert.deepEqual(Object.fromEntries(healthOf(world, 4)), health);
          }
          if (gone === undefined) continue;
          const empty = { ...world, slices: [] };
          subject.load(empty);
          check(empty, subject, gone);
          subject.load(world);
        }
      });
    }
  });
}

type Sender = "pod" | "node" | "outside";

interface Matrix {
  readonly id: string;
  readonly setup: Partial<NodeSetup>;
  /** Sender, destination, and a cell for each Service. */
  readonly flows: readonly (readonly [Sender, "clusterIP" | "external", string, string, string])[];
}

const SENDERS: Readonly<Record<4 | 6, Readonly<Record<Sender, string>>>> = {
  4: { pod: "10.0.0.2", node: "192.168.0.2", outside: "203.0.113.2" },
  6: { pod: "fd00:10::9", node: "fd00:192::2", outside: "2001:db8:2::2" },
};
/** Backends of each list, in both families. */
const LISTS = {
  4: { C: ["10.180.1.1:80", "10.180.2.1:80"], L: ["10.180.1.1:80"] },
  6: { C: ["fd00:10::1:80", "fd00:10::2:80"], L: ["fd00:10::1:80"] },
} as const;

/** A Service of both families with all kinds of destinations, on ports of its own. */
function matrixService(index: number): World {
  const name = `svc${index}`;
  const labels = { "kubernetes.io/service-name": name };
  const endpoints = (local: string, remote: string) => [
    { addresses: [local], nodeName: "node-1" },
    { addresses: [remote], nodeName: "node-2" },
  ];
  const slice = { ports: [{ name: "p80", port: 80 }] };
  return {
    node: NODE,
    services: [
      {
        metadata: { namespace: "ns", name },
        spec: {
          type: "LoadBalancer",
          clusterIPs: [`172.30.0.${index}`, `fd00:172:30::${index}`],
          externalIPs: [`5.6.7.${index}`, `2001:db8:5::${index}`],
          externalTrafficPolicy: index === 2 ? "Local" : "Cluster",
          internalTrafficPolicy: index === 3 ? "Local" : "Cluster",
          ports: [{ name: "p80", port: 80, nodePort: 3000 + index }],
        },
        status: {
          loadBalancer: { ingress: [{ ip: `1.2.3.${index}` }, { ip: `2001:db8:1::${index}` }] },
        },
      },
    ],
    slices: [
      {
        ...slice,
        metadata: { namespace: "ns", name: `${name}-4`, labels },
        addressType: "IPv4",
        endpoints: endpoints("10.180.1.1", "10.180.2.1"),
      },
      {
        ...slice,
        metadata: { namespace: "ns", name: `${name}-6`, labels },
        addressType: "IPv6",
        endpoints: endpoints("fd00:10::1", "fd00:10::2"),
      },
    ],
  };
}

function destinations(kind: "clusterIP" | "external", family: 4 | 6, index: number) {
  if (kind === "clusterIP") {
    return [[family === 4 ? `172.30.0.${index}` : `fd00:172:30::${index}`, 80]] as const;
  }
  return [
    [family === 4 ? "192.168.0.2" : "fd00:192::2", 3000 + index],
    [family === 4 ? `1.2.3.${index}` : `2001:db8:1::${index}`, 80],
    [family === 4 ? `5.6.7.${index}` : `2001:db8:5::${index}`, 80],
  ] as const;
}

describe("the matrix of senders, destinations and policies", () => {
  const worlds = [1, 2, 3].map(matrixService);
  for (const { id, setup, flows } of loadSpecs("matrix") as readonly Matrix[]) {
    it(id, () => {
      const world: World = {
        node: { ...NODE, ...setup },
        services: worlds.flatMap(({ services }) => services),
        slices: worlds.flatMap(({ slices }) => slices),
      };
      const subject = new CompiledServices(world);
      let checked = 0;
      for (const [sender, kind, ...cells] of flows) {
        for (const [at, cell] of cells.entries()) {
          const [list = "C", masquerade = ""] = cell.split(" ");
          for (const family of [4, 6] as const) {
            const end = masquerade === "" ? "" : ` ${masquerade}`;
            const answer = LISTS[family][list as "C" | "L"].map((backend) => backend + end);
            for (const [destination, port] of destinations(kind, family, at + 1)) {
              const source = SENDERS[family][sender];
              const packet: Packet = { source, destination, port, protocol: "TCP" };
              const flow = `${sender} ${source} -> ${destination}:${port}`;
              assert.deepEqual(answerOf(world, packet), answer, `the oracle on ${flow}`);
              assert.deepEqual(subject.judge(packet), answer, `the rows on ${flow}`);
              checked += 1;
            }
          }
        }
      }
      // 27 flows and the 9 to external IPs, in both families.
      assert.equal(checked, 72);
    });
  }
});
