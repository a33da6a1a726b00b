import assert from "node:assert/strict";
import { test } from "node:test";
import { createFixtureEngine, rules, status } from "../../test/agent/fixture-engine.js";
import { podNetwork } from "../../test/agent/fixture-pods.js";
import { SluiceError } from "../errors.js";
import { createMetrics } from "./metrics.js";

/** Samples by series, comments left out. */
async function scrape(engine: Parameters<typeof createMetrics>[0]) {
  const text = await createMetrics(engine).text();
  return parse(text);
}

function parse(text: string): ReadonlyMap<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at + 1))] as const;
    }),
  );
}

const expected: readonly (readonly [series: string, value: number])[] = [
  ['sluice_build_info{version="0.1.0",layout="abc123"}', 1],
  ["sluice_in_sync", 1],
  ['sluice_source_connected{source="kubernetes"}', 1],
  ['sluice_source_objects{kind="XdpPolicy"}', 3],
  ['sluice_source_events_total{kind="XdpPolicy"}', 5],
  ['sluice_source_watches_total{kind="XdpPolicy"}', 2],
  ['sluice_source_lists_total{kind="XdpPolicy"}', 1],
  ["sluice_rule_generation", 7],
  ['sluice_rule_packets_total{policy="edge",rule="bad"}', 40],
  ['sluice_rule_bytes_total{policy="edge",rule="bad"}', 4096],
  ['sluice_rule_packets_total{policy="fail-safe",rule="ssh"}', 0],
  ['sluice_rule_exceeded_packets_total{policy="edge",rule="slow"}', 30],
  ['sluice_rule_exceeded_bytes_total{policy="edge",rule="slow"}', 1800],
  ['sluice_rule_info{policy="edge",rule="bad",action="Drop",mode="Audit"}', 1],
  ['sluice_reason_packets_total{reason="rule"}', 42],
  ['sluice_protocol_packets_total{protocol="udp"}', 300],
  ['sluice_protocol_bytes_total{protocol="tcp"}', 6000],
  ['sluice_protocol_packets_total{protocol="not-ip"}', 5],
  ['sluice_interface_packets_total{interface="eth0",verdict="pass"}', 1_234_567],
  ['sluice_interface_bytes_total{interface="eth0",verdict="drop"}', 2520],
  ['sluice_interface_attached{interface="eth0",mode="generic"}', 1],
  ['sluice_table_entries{table="rules"}', 4000],
  ['sluice_table_capacity{table="rules"}', 4096],
  ['sluice_policy_in_force{policy="edge"}', 1],
  ['sluice_set_prefixes{set="spamhaus",family="ipv4"}', 50_000],
  ['sluice_set_prefixes{set="spamhaus",family="ipv6"}', 12],
  ["sluice_blocked_prefixes", 0],
  ['sluice_problems{severity="error"}', 0],
  ["sluice_apply_failing", 0],
  ["sluice_last_apply_duration_seconds", 0.0035],
  ["sluice_last_apply_timestamp_seconds", 1_767_225_601],
  ["sluice_events_lost_total", 9],
  ["sluice_datapath_loaded", 1],
];

test("a scrape holds what the engine says", async () => {
  const samples = await scrape(createFixtureEngine());
  for (const [series, value] of expected) assert.equal(samples.get(series), value, series);
  assert.ok((samples.get("process_resident_memory_bytes") ?? 0) > 1_000_000);
});

test("a pod network has its own, and without one there are none", async () => {
  const samples = await scrape(createFixtureEngine({ status: () => ({ ...status, podNetwork }) }));
  for (const [series, value] of [
    ["sluice_pods", 30],
    ["sluice_pods_closed", 1],
    ['sluice_pod_addresses_used{family="ipv4"}', 30],
    ['sluice_pod_addresses_capacity{family="ipv4"}', 253],
    ['sluice_pod_reason_packets_total{reason="flow"}', 5000],
    ['sluice_pod_route_nodes{mode="vxlan"}', 2],
    ["sluice_pod_routes", 7],
    ["sluice_pod_routes_failing", 0],
    ["sluice_pod_flows", 61_000],
    ["sluice_pod_flows_capacity", 65_536],
    ['sluice_pod_flows_total{event="expired"}', 130_000],
    ['sluice_pod_flows_total{event="evicted"}', 9000],
  ] as const) {
    assert.equal(samples.get(series), value, series);
  }
  const without = await scrape(createFixtureEngine());
  assert.deepEqual(
    [...without.keys()].filter((series) => series.startsWith("sluice_pod")),
    [],
  );
});

test("protocols without a name of their own share one series", async () => {
  const samples = await scrape(createFixtureEngine());
  assert.equal(samples.get('sluice_protocol_packets_total{protocol="other"}'), 3);
  const series = [...samples.keys()].filter((name) => name.startsWith("sluice_protocol_packets"));
  assert.equal(series.length, 4);
});

test("the engine is asked at each scrape and never between", async () => {
  let asked = 0;
  let packets = 10;
  const engine = createFixtureEngine({
    rules: () => {
      asked++;
      return rules.slice(0, 1).map((rule) => ({ ...rule, matched: { packets, bytes: 0 } }));
    },
  });
  const metrics = createMetrics(engine);
  assert.equal(asked, 0);
  const series = 'sluice_rule_packets_total{policy="fail-safe",rule="ssh"}';
  assert.equal(parse(await metrics.text()).get(series), 10);
  packets = 25;
  assert.equal(parse(await metrics.text()).get(series), 25);
  assert.equal(asked, 2);
});

test("series of objects that have gone are gone from the next scrape", async () => {
  let current = rules;
  const metrics = createMetrics(createFixtureEngine({ rules: () => current }));
  await metrics.text();
  current = [];
  const samples = parse(await metrics.text());
  assert.deepEqual(
    [...samples.keys()].filter((name) => name.startsWith("sluice_rule_packets")),
    [],
  );
});

test("what is not known has no sample, rather than a 0", async () => {
  const { lastApply: _lastApply, ...never } = status;
  const samples = await scrape(createFixtureEngine({ status: () => never }));
  assert.equal(samples.has("sluice_last_apply_duration_seconds"), false);
});

test("an agent that is starting can be scraped", async () => {
  const starting = createFixtureEngine({
    status: () => {
      throw new SluiceError("SLUICE_NOT_STARTED", "the datapath is not loaded yet");
    },
  });
  const samples = await scrape(starting);
  assert.equal(samples.get("sluice_datapath_loaded"), 0);
  assert.equal(samples.has("sluice_in_sync"), false);
});

test("every counter ends in _total and no label is an address", async () => {
  const text = await createMetrics(createFixtureEngine()).text();
  for (const [, name, type] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    assert.equal(name?.endsWith("_total"), type === "counter", name);
  }
  assert.doesNotMatch(text, /\d+\.\d+\.\d+\.\d+/);
});
