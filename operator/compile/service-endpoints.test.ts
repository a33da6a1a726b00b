import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type EndpointSliceRecord, READY, SERVING, TERMINATING } from "../model/records-service.js";
import { chooseBackends, joinEndpoints, type NeededLists } from "./service-endpoints.js";

const node = { name: "here", zone: "z1" };
const http = { name: "http", protocol: "tcp" } as const;

interface TestEndpoint {
  readonly ip: number;
  readonly on?: string;
  readonly is?: number;
  readonly zones?: readonly string[];
  readonly nodes?: readonly string[];
}

function slice(
  endpoints: readonly TestEndpoint[],
  more: Partial<EndpointSliceRecord> = {},
): EndpointSliceRecord {
  return {
    kind: "EndpointSlice",
    namespace: "a",
    name: "b",
    origin: { source: "test" },
    serviceName: "s",
    isExcluded: false,
    family: 4,
    ports: [{ name: "http", protocol: "tcp", port: 8080 }],
    addresses: endpoints.map(({ ip }) => ip),
    conditions: endpoints.map(({ is = READY | SERVING }) => is),
    nodeNames: endpoints.map(({ on }) => on),
    zoneHints: endpoints.some(({ zones }) => zones)
      ? endpoints.map(({ zones = [] }) => zones)
      : undefined,
    nodeHints: endpoints.some(({ nodes }) => nodes)
      ? endpoints.map(({ nodes = [] }) => nodes)
      : undefined,
    triggeredAtMs: undefined,
    ...more,
  };
}

const BOTH: NeededLists = { cluster: true, local: true };

function chosen(endpoints: readonly TestEndpoint[], lists = BOTH, at = node) {
  const { cluster, local, hasAny } = chooseBackends(
    joinEndpoints(http, 4, [slice(endpoints)], at),
    at,
    lists,
  );
  const ips = (list: typeof cluster) => list.map(({ address }) => address[0]);
  return { cluster: ips(cluster), local: ips(local), hasAny };
}

describe("endpoints of a service's port", () => {
  it("are joined by the name of the port and its protocol, whose number may differ by slice", () => {
    const named = (port: number) => [{ name: "http", protocol: "tcp", port } as const];
    const joined = joinEndpoints(
      http,
      4,
      [
        slice([{ ip: 1 }], { ports: named(8080) }),
        slice([{ ip: 2 }], { ports: named(9090) }),
        slice([{ ip: 3 }], { ports: [{ name: "http", protocol: "udp", port: 8080 }] }),
        slice([{ ip: 4 }], { ports: [{ name: "other", protocol: "tcp", port: 8080 }] }),
        slice([{ ip: 5 }], { ports: [] }),
      ],
      node,
    );
    assert.deepEqual(
      joined.map(({ address, port }) => [address[0], port]),
      [
        [1, 8080],
        [2, 9090],
      ],
    );
  });

  it("are those of one family, and of no excluded slice", () => {
    const slices = [
      slice([{ ip: 1 }]),
      slice([{ ip: 2 }], { isExcluded: true }),
      slice([], { family: 6, addresses: [1, 2, 3, 4], conditions: [READY], nodeNames: [] }),
    ];
    assert.deepEqual(
      joinEndpoints(http, 4, slices, node).map(({ address }) => address),
      [[1]],
    );
    assert.deepEqual(
      joinEndpoints(http, 6, slices, node).map(({ address }) => address),
      [[1, 2, 3, 4]],
    );
  });

  it("that stand in several slices are one, and local when one slice says so", () => {
    const joined = joinEndpoints(
      http,
      4,
      [slice([{ ip: 1, on: "there" }]), slice([{ ip: 1, on: "here" }]), slice([{ ip: 1 }])],
      node,
    );
    assert.deepEqual(
      joined.map(({ isLocal }) => isLocal),
      [true],
    );
  });
});

describe("the backends that serve", () => {
  const TERMINATING_SERVING = SERVING | TERMINATING;

  it("are the ready ones", () => {
    assert.deepEqual(chosen([{ ip: 1 }, { ip: 2, is: 0 }, { ip: 3, on: "here" }]), {
      cluster: [1, 3],
      local: [3],
      hasAny: true,
    });
  });

  it("are those that terminate and serve when none is ready, each list by itself", () => {
    assert.deepEqual(
      chosen([
        { ip: 1, is: TERMINATING_SERVING },
        { ip: 2, is: TERMINATING_SERVING, on: "here" },
        { ip: 3, is: TERMINATING, on: "here" },
      ]),
      { cluster: [1, 2], local: [2], hasAny: true },
    );
    assert.deepEqual(chosen([{ ip: 1 }, { ip: 2, is: TERMINATING_SERVING, on: "here" }]), {
      cluster: [1],
      local: [2],
      hasAny: true,
    });
  });

  it("are none when none is usable", () => {
    for (const is of [0, TERMINATING, SERVING]) {
      assert.deepEqual(chosen([{ ip: 1, is, on: "here" }]), {
        cluster: [],
        local: [],
        hasAny: false,
      });
    }
  });

  it("are told apart: none here, but some elsewhere", () => {
    assert.deepEqual(chosen([{ ip: 1, on: "there" }], { cluster: false, local: true }), {
      cluster: [],
      local: [],
      hasAny: true,
    });
  });

  it("are only those lists that are needed", () => {
    assert.deepEqual(chosen([{ ip: 1, on: "here" }], { cluster: true, local: false }).local, []);
  });
});

describe("hints", () => {
  const cases: readonly (readonly [
    string,
    readonly TestEndpoint[],
    readonly number[],
    typeof node?,
  ])[] = [
    [
      "of zones are followed",
      [
        { ip: 1, zones: ["z1"] },
        { ip: 2, zones: ["z2"] },
      ],
      [1],
    ],
    [
      "may name several zones",
      [
        { ip: 1, zones: ["z2", "z1"] },
        { ip: 2, zones: ["z2"] },
      ],
      [1],
    ],
    ["missing on one endpoint count for none", [{ ip: 1, zones: ["z1"] }, { ip: 2 }], [1, 2]],
    [
      "missing on an endpoint that is not ready do not matter",
      [
        { ip: 1, zones: ["z1"] },
        { ip: 2, is: 0 },
        { ip: 3, zones: ["z2"] },
      ],
      [1],
    ],
    [
      "for no endpoint of this zone count for none",
      [
        { ip: 1, zones: ["z2"] },
        { ip: 2, zones: ["z3"] },
      ],
      [1, 2],
    ],
    [
      "count for none where only an endpoint that is not ready is meant for this zone",
      [
        { ip: 1, zones: ["z1"], is: 0 },
        { ip: 2, zones: ["z2"] },
      ],
      [2],
    ],
    [
      "of zones count for none on a node without zone",
      [
        { ip: 1, zones: ["z1"] },
        { ip: 2, zones: ["z2"] },
      ],
      [1, 2],
      { name: "here", zone: "" },
    ],
    [
      "of nodes come before those of zones",
      [
        { ip: 1, zones: ["z1"], nodes: ["there"] },
        { ip: 2, zones: ["z1"], nodes: ["here"] },
      ],
      [2],
    ],
    [
      "of nodes that name this one nowhere leave it to the zones",
      [
        { ip: 1, zones: ["z1"], nodes: ["there"] },
        { ip: 2, zones: ["z2"], nodes: ["there"] },
      ],
      [1],
    ],
    [
      "do not hold for endpoints that terminate",
      [
        { ip: 1, zones: ["z1"], is: SERVING | TERMINATING },
        { ip: 2, zones: ["z2"], is: SERVING | TERMINATING },
      ],
      [1, 2],
    ],
  ];
  for (const [what, endpoints, cluster, at] of cases) {
    it(what, () => assert.deepEqual(chosen(endpoints, BOTH, at).cluster, cluster));
  }

  it("do not hold under traffic policy Local", () => {
    const endpoints = [
      { ip: 1, on: "here", zones: ["z2"] },
      { ip: 2, on: "there", zones: ["z1"] },
    ];
    assert.deepEqual(chosen(endpoints), { cluster: [2], local: [1], hasAny: true });
  });
});
