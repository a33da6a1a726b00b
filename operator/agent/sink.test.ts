import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { createFixtureEngine } from "../../test/agent/fixture-engine.js";
import { Interner } from "../model/interner.js";
import { projectClusterObject } from "../model/project-cluster.js";
import { createSink } from "./sink.js";

function slice(namespace: string, addressType: string, addresses: readonly string[]) {
  const { draft } = projectClusterObject(
    "EndpointSlice",
    {
      metadata: { namespace, name: "x", labels: { "kubernetes.io/service-name": "kubernetes" } },
      addressType,
      ports: [{ name: "https", port: 6443, protocol: "TCP" }],
      endpoints: addresses.map((address) => ({ addresses: [address] })),
    },
    { source: "api" },
    new Interner(),
  );
  assert.ok(draft);
  return { type: "upsert", record: { ...draft, origin: { source: "api" } } } as const;
}

test("the API servers' endpoints reach the fail-safe rules, those of other Services do not", () => {
  const told: (readonly string[])[] = [];
  const engine = createFixtureEngine({ setApiServers: (servers) => void told.push(servers) });
  const sink = createSink(engine, pino({ level: "silent" }));
  sink(slice("default", "IPv4", ["192.0.2.1", "192.0.2.2"]));
  sink(slice("default", "IPv6", ["2001:db8::1"]));
  sink(slice("web", "IPv4", ["192.0.2.3"]));
  assert.deepEqual(told, [["192.0.2.1:6443", "192.0.2.2:6443"], ["[2001:db8::1]:6443"]]);
});
