import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KernelModel } from "../../test/service-oracle/kernel-model.js";
import { testService, testSlice } from "../../test/service-oracle/records.js";
import { parseCidr } from "../model/cidr.js";
import { READY, SERVING, type ServiceRecord, TERMINATING } from "../model/records-service.js";
import { ServiceCompiler, type ServiceUpdate } from "./service-compiler.js";
import type { ServiceCapacity } from "./service-capacity.js";
import type { ServicePlace } from "./service-place.js";
import { BACKEND_IN_CLUSTER, BACKEND_PRESENT, BACKEND_USABLE } from "./service-writes.js";

const CAPACITY: ServiceCapacity = {
  services: 100_000,
  frontends: 100_000,
  clusterIPs: 100_000,
  backends: 1_000_000,
  lists: 1_000_000,
  maglev: 1_000_000,
  sourceRanges: 1000,
};
const PLACE: ServicePlace = {
  name: "here",
  zone: undefined,
  knowsPods: true,
  masqueradeAll: false,
  ownAddresses: [parseCidr("192.0.2.2")],
  nodePortAddresses: [parseCidr("192.0.2.2")],
  guard: { podRanges: [], serviceRanges: [], nodeAddresses: [], allowed: undefined },
};
const [A, B, C, D] = [0x0a00_0001, 0x0a00_0002, 0x0a00_0003, 0x0a00_0004] as const;

function setUp(capacity: Partial<ServiceCapacity> = {}) {
  const compiler = new ServiceCompiler({ ...CAPACITY, ...capacity }, PLACE);
  const { index } = compiler;
  const kernel = new KernelModel();
  /** Writes what changed, and gives it in words: `service`, `list 1 2`. */
  const step = (): readonly string[] => {
    const update = compiler.update();
    kernel.apply(update.writes);
    kernel.apply(compiler.reclaim(update.retired));
    return update.writes.map(wordsOf);
  };
  const backendAt = (address: number) =>
    [...kernel.backends].find(([, row]) => row.address[0] === address && row.flags !== 0);
  return { compiler, index, kernel, step, backendAt };
}

function wordsOf(write: ServiceUpdate["writes"][number]): string {
  switch (write.table) {
    case "backends":
      return write.value === undefined || write.value.flags === 0 ? "-backend" : "backend";
    case "lists":
      return `list of ${write.ids.length}`;
    case "services":
      return write.value === undefined ? "-service" : "service";
    case "frontends":
      return write.value === undefined ? "-frontend" : "frontend";
    case "clusterIPs":
      return write.present ? "cluster IP" : "-cluster IP";
    default:
      return write.table;
  }
}

describe("writes of a change", () => {
  it("are the fewest, in an order that never leads to nothing", () => {
    const { index, step } = setUp();
    step();
    index.setService("ns/a", testService("a"));
    assert.deepEqual(step(), ["service", "frontend", "cluster IP"]);
    index.setSlice("ns/a-1", testSlice("a-1", "a", [A]));
    assert.deepEqual(step(), ["backend", "list of 1", "service"]);
    index.setSlice("ns/a-1", testSlice("a-1", "a", [A, B]));
    assert.deepEqual(step(), ["backend", "list of 2", "service"]);
    index.setSlice("ns/a-1", testSlice("a-1", "a", [B, A]));
    assert.deepEqual(step(), [], "another order is no change");
    index.setSlice("ns/a-1", testSlice("a-1", "a", [B, C]));
    assert.deepEqual(step(), ["backend", "list of 2", "service", "-backend"]);
    index.setSlice("ns/a-1", undefined);
    assert.deepEqual(step(), ["service", "-backend", "-backend"]);
    index.setSlice("ns/a-1", testSlice("a-1", "a", [A]));
    assert.deepEqual(step(), ["backend", "list of 1", "service"]);
    index.setService("ns/a", testService("a", { affinitySeconds: 60 }));
    assert.deepEqual(step(), ["service"]);
    index.setService("ns/a", undefined);
    assert.deepEqual(step(), ["-frontend", "-cluster IP", "-backend"]);
    assert.deepEqual(step(), []);
  });

  it("do not grow with the number of Services", () => {
    const { index, step } = setUp();
    for (let number = 0; number < 1000; number++) {
      const name = `s${number}`;
      index.setService(`ns/${name}`, testService(name, { ipv4: 0xac1e_0000 + number }));
      index.setSlice(`ns/${name}-1`, testSlice(`${name}-1`, name, [A, B, C]));
    }
    step();
    index.setSlice("ns/s7-1", testSlice("s7-1", "s7", [A, B]));
    assert.deepEqual(step(), ["list of 2", "service", "-backend"]);
  });

  it("tell of the node's addresses and of the ranges of cluster IPs by themselves", () => {
    const { compiler, index, step } = setUp();
    index.setService("ns/a", testService("a"));
    step();
    const serviceRanges = [parseCidr("172.30.0.0/16")];
    compiler.setPlace({
      ...PLACE,
      nodePortAddresses: [parseCidr("192.0.2.3")],
      guard: { ...PLACE.guard, serviceRanges },
    });
    assert.deepEqual(step(), ["nodePortAddresses", "nodePortAddresses", "serviceRanges"]);
  });
});

describe("the number of a backend", () => {
  const isLike = { ports: [{ name: "web", protocol: "tcp", port: 80 }] } as const;

  it("stays while its address and port are an endpoint", () => {
    const { index, step, backendAt } = setUp();
    index.setService("ns/a", testService("a"));
    index.setSlice("ns/a-1", testSlice("a-1", "a", [B]));
    step();
    const number = backendAt(B)?.[0];
    assert.ok(number !== undefined);
    index.setSlice("ns/a-1", testSlice("a-1", "a", [A, B, C]));
    step();
    assert.equal(backendAt(B)?.[0], number);
    // Over to another slice.
    index.setSlice("ns/a-1", testSlice("a-1", "a", [A]));
    index.setSlice("ns/a-2", testSlice("a-2", "a", [B]));
    step();
    assert.equal(backendAt(B)?.[0], number);
  });

  it("stays when it stops serving, and says so", () => {
    const { index, step, backendAt } = setUp();
    index.setService("ns/a", testService("a"));
    index.setSlice("ns/a-1", testSlice("a-1", "a", [A, B]));
    step();
    const number = backendAt(A)?.[0];
    const conditions = [TERMINATING, READY | SERVING];
    index.setSlice("ns/a-1", testSlice("a-1", "a", [A, B], { conditions }));
    assert.deepEqual(step(), ["list of 1", "service", "backend"]);
    const [same, row] = backendAt(A)!;
    assert.equal(same, number);
    assert.equal(row.flags, BACKEND_PRESENT | TERMINATING);
    assert.equal(
      backendAt(B)![1].flags,
      BACKEND_PRESENT | READY | SERVING | BACKEND_USABLE | BACKEND_IN_CLUSTER,
    );
  });

  it("stays when the port of the Service is renamed", () => {
    const { index, step, backendAt } = setUp();
    index.setService("ns/a", testService("a"));
    index.setSlice("ns/a-1", testSlice("a-1", "a", [A]));
    step();
    const number = backendAt(A)?.[0];
    const ports = [
      { name: "web", protocol: "tcp", port: 80, targetPort: 8080, nodePort: 0 },
    ] as const;
    index.setService("ns/a", testService("a", { ports }));
    index.setSlice(
      "ns/a-1",
      testSlice("a-1", "a", [A], { ports: [{ ...isLike.ports[0], port: 8080 }] }),
    );
    assert.deepEqual(step(), []);
    assert.equal(backendAt(A)?.[0], number);
  });

  it("is another one in each Service", () => {
    const { index, step, kernel } = setUp();
    for (const [at, name] of ["a", "b"].entries()) {
      index.setService(`ns/${name}`, testService(name, { ipv4: 0xac1e_0001 + at }));
      index.setSlice(`ns/${name}-1`, testSlice(`${name}-1`, name, [A]));
    }
    step();
    assert.equal(kernel.backends.size, 2);
    assert.equal(new Set([...kernel.backends.values()].map(({ service }) => service)).size, 2);
  });

  it("goes beyond 65,535", () => {
    const { index, step, kernel } = setUp();
    const addresses = Array.from({ length: 1000 }, (_, at) => A + at);
    for (let number = 0; number < 70; number++) {
      const name = `s${number}`;
      index.setService(`ns/${name}`, testService(name, { ipv4: 0xac1e_0000 + number }));
      index.setSlice(`ns/${name}-1`, testSlice(`${name}-1`, name, addresses));
    }
    step();
    assert.equal(kernel.backends.size, 70_000);
    const packet = {
      source: "10.9.9.9",
      destination: "172.30.0.69",
      port: 80,
      protocol: "TCP",
    } as const;
    assert.equal(kernel.judge(packet, "pod").length, 1000);
  });
});

describe("source ranges", () => {
  it("change at once, by another set", () => {
    const { index, step, kernel } = setUp();
    const service = (range: string): ServiceRecord =>
      testService("a", {
        type: "LoadBalancer",
        loadBalancerIPs: [parseCidr("203.0.113.1")],
        sourceRanges: [parseCidr(range)],
      });
    index.setService("ns/a", service("198.51.100.0/24"));
    step();
    const before = [...kernel.services.values()][0]?.sourceSet;
    index.setService("ns/a", service("198.51.100.0/25"));
    assert.deepEqual(step(), ["sourceRanges", "service"]);
    assert.notEqual([...kernel.services.values()][0]?.sourceSet, before);
    index.setService("ns/a", { ...service("198.51.100.0/25"), loadBalancerIPs: [] });
    step();
    assert.equal([...kernel.services.values()][0]?.sourceSet, 0);
  });
});

describe("a table that is too small", () => {
  const small: readonly (readonly [keyof ServiceCapacity, number, RegExp])[] = [
    ["services", 1, /services: 1 of 1 entries/],
    ["frontends", 1, /service frontends: 1 of 1 entries/],
    ["clusterIPs", 1, /cluster IPs: 1 of 1 entries/],
    ["backends", 3, /service backends: 3 of 3 entries/],
    ["lists", 3, /service lists: 2 of 3 words are in use, the longest free range has 1/],
  ];
  for (const [table, capacity, message] of small) {
    it(`(${table}) refuses the Service by name, leaves the others, and takes it once there is room`, () => {
      const { compiler, index, kernel, step } = setUp({ [table]: capacity });
      const add = (name: string, ipv4: number) => {
        index.setService(`ns/${name}`, testService(name, { ipv4 }));
        index.setSlice(`ns/${name}-1`, testSlice(`${name}-1`, name, [A, B]));
      };
      add("a", 0xac1e_0001);
      step();
      add("b", 0xac1e_0002);
      step();
      const [problem] = compiler.problems();
      assert.equal(problem?.code, "SLUICE_CAPACITY");
      assert.equal(problem?.name, "ns/b");
      assert.match(problem?.message ?? "", message);
      const to = (destination: string) =>
        kernel.judge({ source: "10.9.9.9", destination, port: 80, protocol: "TCP" }, "pod");
      assert.equal(to("172.30.0.1").length, 2);
      assert.equal(to("172.30.0.2"), "pass");
      index.setService("ns/a", undefined);
      step();
      step();
      assert.deepEqual(compiler.problems(), []);
      assert.equal(to("172.30.0.1"), "pass");
      assert.equal(to("172.30.0.2").length, 2);
    });
  }

  it("leaves a Service that grew as it was", () => {
    const { compiler, index, kernel, step } = setUp({ backends: 3 });
    index.setService("ns/a", testService("a"));
    index.setSlice("ns/a-1", testSlice("a-1", "a", [A, B]));
    step();
    const used = compiler.usage();
    index.setSlice("ns/a-1", testSlice("a-1", "a", [A, B, C, D]));
    assert.deepEqual(step(), []);
    assert.deepEqual(compiler.usage(), used);
    assert.equal(compiler.problems()[0]?.name, "ns/a");
    const packet = {
      source: "10.9.9.9",
      destination: "172.30.0.1",
      port: 80,
      protocol: "TCP",
    } as const;
    assert.deepEqual(kernel.judge(packet, "pod"), ["10.0.0.1:8080", "10.0.0.2:8080"]);
    index.setSlice("ns/a-1", testSlice("a-1", "a", [A, B, C]));
    step();
    assert.deepEqual(compiler.problems(), []);
  });

  it("of Maglev slots or source ranges refuses it as well, and takes back what it took", () => {
    const external: Partial<ServiceRecord> = {
      type: "LoadBalancer",
      loadBalancerIPs: [parseCidr("203.0.113.1")],
      sourceRanges: [parseCidr("198.51.100.0/24"), parseCidr("203.0.113.0/24")],
    };
    for (const table of ["maglev", "sourceRanges"] as const) {
      const { compiler, index, step } = setUp({ [table]: 1 });
      index.setService("ns/a", testService("a", external));
      index.setSlice("ns/a-1", testSlice("a-1", "a", [A, B]));
      step();
      assert.equal(compiler.problems()[0]?.code, "SLUICE_CAPACITY");
      assert.ok(Object.values(compiler.usage()).every((used) => used === 0));
    }
  });
});

describe("all endpoints flapping", () => {
  it("leaves no row behind", () => {
    const { compiler, index, kernel, step } = setUp({ backends: 400, lists: 400 });
    for (const name of ["a", "b", "c"]) {
      const ipv4 = 0xac1e_0001 + name.charCodeAt(0);
      index.setService(`ns/${name}`, testService(name, { ipv4 }));
    }
    for (let round = 0; round < 300; round++) {
      for (const name of ["a", "b", "c"]) {
        const count = ((round * 7) % 5) * 10;
        const addresses = Array.from({ length: count }, (_, at) => A + at + (round % 3));
        index.setSlice(`ns/${name}-1`, testSlice(`${name}-1`, name, addresses));
      }
      step();
      assert.deepEqual(compiler.problems(), []);
    }
    for (const name of ["a", "b", "c"]) index.setSlice(`ns/${name}-1`, undefined);
    step();
    assert.equal(compiler.usage().backends, 0);
    assert.equal(compiler.usage().lists, 0);
    assert.equal(kernel.backends.size, 0);
  });
});
