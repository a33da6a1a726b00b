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

function loadSpecs(file: string): readonly Spec[] {
  // The sources are two folders above the compiled file's.
  const url = new URL(`../../../test/service-oracle/specs/${file}.yaml`, import.meta.url);
  return parse(readFileSync(fileURLToPath(url), "utf8"), { merge: true }) as Spec[];
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
    for (const { id, setup, steps } of loadSpecs(file)) {
      it(id, () => {
        let world: World = { node: { ...NODE, ...setup }, services: [], slices: [] };
        const subject = new CompiledServices(world);
        for (const { services, slices, flows, gone, problems, health } of steps) {
          world = {
            ...world,
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
