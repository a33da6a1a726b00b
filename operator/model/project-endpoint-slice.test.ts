import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { parse } from "yaml";
import { formatGroups, formatV4, formatV6 } from "./cidr-format.js";
import { endpointCount, endpointV4, endpointV6 } from "./endpoint-columns.js";
import { Interner } from "./interner.js";
import { projectClusterObject } from "./project-cluster.js";
import { READY, SERVING, TERMINATING } from "./records-service.js";

const ORIGIN = { source: "api" };

function project(object: unknown) {
  return projectClusterObject("EndpointSlice", object, ORIGIN, new Interner());
}

/** The text is a flow mapping of YAML without braces. */
function slice(fields: string, metadata = "") {
  const { draft, problems } = project(
    parse(`{metadata: {name: a, ${metadata}}, addressType: IPv4, ${fields}}`),
  );
  assert.ok(draft !== undefined, JSON.stringify(problems));
  return { ...draft, problems };
}

describe("an EndpointSlice", () => {
  it("gives its endpoints as columns", () => {
    const { draft, problems } = project(
      parse(`
metadata:
  name: web-x
  namespace: shop
  labels: {kubernetes.io/service-name: web, app: web}
  annotations: {endpoints.kubernetes.io/last-change-trigger-time: "2026-11-01T10:00:00.123456789Z"}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}, {name: dns, port: 53, protocol: UDP}]
endpoints:
- {addresses: [10.244.1.5], conditions: {ready: true, serving: true, terminating: false}, nodeName: node1, zone: a, targetRef: {kind: Pod}, hints: {forZones: [{name: a}]}}
- {addresses: [10.244.2.5, 10.9.9.9], conditions: {ready: false, serving: true, terminating: true}, hints: {forNodes: [{name: node2}]}}`),
    );
    assert.deepEqual(problems, []);
    assert.deepEqual(draft, {
      kind: "EndpointSlice",
      namespace: "shop",
      name: "web-x",
      serviceName: "web",
      isExcluded: false,
      family: 4,
      ports: [
        { name: "http", protocol: "tcp", port: 8080 },
        { name: "dns", protocol: "udp", port: 53 },
      ],
      addresses: [0x0af40105, 0x0af40205],
      conditions: [READY | SERVING, SERVING | TERMINATING],
      nodeNames: ["node1", undefined],
      zoneHints: [["a"], []],
      nodeHints: [[], ["node2"]],
      triggeredAtMs: Date.UTC(2026, 10, 1, 10, 0, 0, 123),
    });
  });

  it("may have nothing in it", () => {
    const { problems, ...draft } = slice("endpoints: null, ports: null");
    assert.deepEqual(problems, []);
    assert.deepEqual(draft, {
      kind: "EndpointSlice",
      namespace: "default",
      name: "a",
      serviceName: undefined,
      isExcluded: false,
      family: 4,
      ports: [],
      addresses: [],
      conditions: [],
      nodeNames: [],
      zoneHints: undefined,
      nodeHints: undefined,
      triggeredAtMs: undefined,
    });
  });

  it("takes what is not said of an endpoint as ready, serving and not terminating", () => {
    const rows: readonly (readonly [conditions: string, bits: number])[] = [
      ["", READY | SERVING],
      [", conditions: {}", READY | SERVING],
      [", conditions: {ready: null, serving: null, terminating: null}", READY | SERVING],
      [", conditions: {ready: false}", SERVING],
      [", conditions: {ready: false, serving: false}", 0],
      [", conditions: {ready: false, serving: false, terminating: true}", TERMINATING],
    ];
    for (const [conditions, bits] of rows) {
      const read = slice(`endpoints: [{addresses: [10.0.0.1]${conditions}}]`);
      assert.deepEqual(read.conditions, [bits], conditions);
    }
  });

  it("ignores ports without a number; a port without name is the unnamed one", () => {
    const { ports, problems } = slice(
      "ports: [{name: a}, {name: b, port: 0}, {name: c, port: null}, {port: 80}, {name: d, port: 1, protocol: SCTP}]",
    );
    assert.deepEqual(problems, []);
    assert.deepEqual(ports, [
      { name: "", protocol: "tcp", port: 80 },
      { name: "d", protocol: "sctp", port: 1 },
    ]);
  });

  it("leaves out endpoints of another family, and says so", () => {
    const read = slice(
      `endpoints: [{addresses: ["fd00::1"], nodeName: x}, {addresses: [10.0.0.2], nodeName: y}, {addresses: [host]}]`,
    );
    assert.deepEqual(read.addresses, [0x0a000002]);
    assert.deepEqual(read.nodeNames, ["y"]);
    assert.deepEqual(
      read.problems.map(({ severity, field }) => `${severity} ${field}`),
      ["warning endpoints[0].addresses[0]", "warning endpoints[2].addresses[0]"],
    );
  });

  it("has no endpoints when they are domain names", () => {
    const { draft, problems } = project(
      parse("{metadata: {name: a}, addressType: FQDN, endpoints: [{addresses: [a.example.com]}]}"),
    );
    assert.deepEqual(problems, []);
    assert.equal(endpointCount(draft!), 0);
  });

  it("is not to be served when a label gives it to others", () => {
    assert.equal(slice("", "labels: {service.kubernetes.io/headless: ''}").isExcluded, true);
  });

  it("reads addresses with leading zeros as decimal", () => {
    assert.deepEqual(slice("endpoints: [{addresses: [172.30.0.041]}]").addresses, [0xac1e0029]);
  });

  it("gives back every address, in short slices and long ones", () => {
    const object = (addressType: string, addresses: readonly string[]) => ({
      metadata: { name: "a" },
      addressType,
      endpoints: addresses.map((address) => ({ addresses: [address] })),
    });
    fc.assert(
      fc.property(fc.array(fc.nat(0xffffffff), { maxLength: 200 }), (values) => {
        const { draft } = project(object("IPv4", values.map(formatV4)));
        assert.deepEqual(
          Array.from({ length: endpointCount(draft!) }, (_, at) => endpointV4(draft!, at)),
          values,
        );
      }),
    );
    const groups = fc.array(fc.nat(0xffff), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(fc.array(groups, { maxLength: 50 }), (all) => {
        fc.pre(all.every((each) => each[5] !== 0xffff));
        const texts = all.map((each) => formatGroups(Uint16Array.from(each)));
        const { draft } = project(object("IPv6", texts));
        assert.deepEqual(
          Array.from({ length: endpointCount(draft!) }, (_, at) => {
            const { high, low } = endpointV6(draft!, at);
            return formatV6(high, low);
          }),
          texts,
        );
      }),
    );
  });

  it("is refused with each field that is wrong", () => {
    const { draft, problems } = project(
      parse(`{metadata: {name: a}, ports: [{port: "80"}], endpoints: [{}, {addresses: []}, {addresses: 10.0.0.1},
        {addresses: [10.0.0.1], conditions: {ready: yes?}}, {addresses: [10.0.0.1], hints: {forZones: [a]}}]}`),
    );
    assert.equal(draft, undefined);
    assert.deepEqual([...new Set(problems.map(({ field }) => field))].toSorted(), [
      "addressType",
      "endpoints[0].addresses",
      "endpoints[1].addresses",
      "endpoints[2].addresses",
      "endpoints[3].conditions.ready",
      "endpoints[4].hints.forZones[0]",
      "ports[0].port",
    ]);
  });
});
