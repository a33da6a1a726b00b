/** Random worlds in which few names and addresses meet often, and packets aimed at what is there. */

import { createRandom, type Random } from "../fuzz/random.js";
import type {
  EndpointManifest,
  NodeSetup,
  Packet,
  Protocol,
  ServiceManifest,
  ServicePortManifest,
  SliceManifest,
  World,
} from "./world.js";
import { unique } from "./unique.js";

export interface ServiceCase {
  readonly world: World;
  readonly packets: readonly Packet[];
}

const PROTOCOLS: readonly Protocol[] = ["TCP", "UDP", "SCTP"];
const PORTS = [53, 80, 443] as const;
const NODE_PORTS = [30_053, 30_080, 30_443] as const;
const PORT_NAMES = ["http", "dns", "", "web"] as const;
const NAMESPACES = ["shop", "ops"] as const;
const NAMES = ["web", "api", "db"] as const;
const ZONES = ["zone-1", "zone-2"] as const;
const NODES = ["node-1", "node-2", "node-3"] as const;
/** Blocks and addresses, IPv6 second. */
const POD_RANGES = ["10.0.0.0/8", "fd00:10::/32"] as const;
const SERVICE_RANGES = ["172.30.0.0/16", "fd00:172:30::/112"] as const;
const OWN = ["192.168.0.2", "192.168.1.2", "fd00:192::2"] as const;
const OTHER_NODES = ["192.168.0.3", "fd00:192::3"] as const;
const VIPS = ["1.2.3.4", "5.6.7.8", "2001:db8:1::4"] as const;
const OUTSIDE = ["203.0.113.10", "203.0.113.200", "2001:db8:2::10", "2001:db8:2::ff10"] as const;
const clusterV4 = (number: number) => `172.30.0.${number}`;
const clusterV6 = (number: number) => `fd00:172:30::${number}`;
const podV4 = (number: number) => `10.1.0.${number}`;
const podV6 = (number: number) => `fd00:10::${number}`;

export function generateCase(seed: number, index: number, packets: number): ServiceCase {
  const world = generateWorld(createRandom(seed, index, 0));
  const random = createRandom(seed, index, 1);
  return { world, packets: Array.from({ length: packets }, () => aim(random, world)) };
}

export function generateWorld(random: Random): World {
  const services = unique(random.list(1, 4, () => generateService(random)));
  const slices = unique(random.list(2, 9, (index) => generateSlice(random, services, index)));
  return { node: generateNode(random), services, slices };
}

/** The same world a while later: one or two things are others. */
export function generateLater(random: Random, world: World): World {
  let next = world;
  for (let count = random.between(1, 2); count > 0; count--) next = changeOnce(random, next);
  return next;
}

/** Other endpoints only. */
export function changeSlices(random: Random, world: World): World {
  const { services, slices } = world;
  const at = random.between(0, slices.length);
  const fresh = generateSlice(random, services, at);
  return random.weighted<() => World>(
    [
      3,
      () => ({
        ...world,
        slices: unique([...slices.slice(0, at), fresh, ...slices.slice(at + 1)]),
      }),
    ],
    [1, () => ({ ...world, slices: slices.slice(0, -1) })],
    [1, () => ({ ...world, slices: unique([...slices, fresh]) })],
  )();
}

function changeOnce(random: Random, world: World): World {
  const { services } = world;
  const at = random.between(0, services.length);
  const fresh = generateService(random);
  return random.weighted<() => World>(
    [4, () => changeSlices(random, world)],
    [2, () => ({ ...world, services: unique([...services, fresh]) })],
    [2, () => ({ ...world, services: services.toSpliced(at, 1) })],
    [2, () => ({ ...world, services: unique([...services.toSpliced(at, 1), fresh]) })],
    [1, () => ({ ...world, node: generateNode(random) })],
  )();
}

function generateNode(random: Random): NodeSetup {
  const zone = random.weighted<string | undefined>([6, "zone-1"], [1, ""], [1, undefined]);
  const allowed = random.weighted<readonly string[] | undefined>(
    [6, undefined],
    [1, ["1.2.3.0/24"]],
    [1, ["0.0.0.0/0", "::/0"]],
    [1, []],
  );
  return {
    name: "node-1",
    ...(zone !== undefined && { zone }),
    ownAddresses: OWN,
    nodePortAddresses: random.weighted<readonly string[]>([3, [OWN[0], OWN[2]]], [2, OWN], [1, []]),
    podRanges: POD_RANGES,
    serviceRanges: SERVICE_RANGES,
    nodeAddresses: [...OWN, ...OTHER_NODES],
    ...(allowed !== undefined && { allowedExternalIPs: allowed }),
    knowsPods: random.chance(0.75),
    masqueradeAll: random.chance(0.2),
  };
}

function generateService(random: Random): ServiceManifest {
  const policy = () => random.weighted<"Cluster" | "Local">([1, "Cluster"], [1, "Local"]);
  const type = random.weighted<"ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName">(
    [5, "ClusterIP"],
    [7, "NodePort"],
    [12, "LoadBalancer"],
    [1, "ExternalName"],
  );
  const number = random.between(1, 4);
  const clusterIPs = random.weighted<readonly string[]>(
    [8, [clusterV4(number)]],
    [12, [clusterV4(number), clusterV6(number)]],
    [3, [clusterV6(number)]],
    [2, [`172.30.0.00${number}`]],
    [1, ["None"]],
  );
  const label = random.weighted<string | undefined>(
    [30, undefined],
    [1, "service.kubernetes.io/service-proxy-name"],
    [1, "service.kubernetes.io/headless"],
  );
  const created = random.weighted<string | undefined>(
    [1, undefined],
    [2, "2026-01-01T00:00:00Z"],
    [2, "2026-01-02T00:00:00Z"],
  );
  const ports = generatePorts(random, type);
  const vips = () => random.list(1, 2, () => random.pick(VIPS));
  const external = random.chance(0.4)
    ? random.list(1, 2, () =>
        random.weighted<string>(
          [6, random.pick(VIPS)],
          [1, random.pick(OWN)],
          [1, podV4(9)],
          [1, clusterV4(random.between(1, 9))],
        ),
      )
    : undefined;
  const ranges = random.chance(0.4)
    ? random.list(1, 3, () =>
        random.pick([
          "203.0.113.0/25",
          " 192.168.0.0/24",
          "10.0.0.0/8",
          "2001:db8:2::/120",
          "fd00:192::/64",
        ]),
      )
    : undefined;
  const ingress = type === "LoadBalancer" ? generateIngress(random, vips()) : undefined;
  const isLocalBalancer = type === "LoadBalancer" && random.chance(0.5);
  return {
    metadata: {
      namespace: random.pick(NAMESPACES),
      name: random.pick(NAMES),
      ...(created !== undefined && { creationTimestamp: created }),
      ...(label !== undefined && { labels: { [label]: "" } }),
    },
    spec: {
      type,
      clusterIPs: type === "ExternalName" && random.chance(0.5) ? [] : clusterIPs,
      ports,
      ...(external !== undefined && { externalIPs: external }),
      ...(ranges !== undefined && { loadBalancerSourceRanges: ranges }),
      externalTrafficPolicy: policy(),
      internalTrafficPolicy: policy(),
      ...(isLocalBalancer && { healthCheckNodePort: random.between(31_000, 31_002) }),
    },
    ...(ingress !== undefined && { status: { loadBalancer: { ingress } } }),
  };
}

function generateIngress(random: Random, vips: readonly string[]) {
  return vips.map((ip) =>
    random.weighted<{ ip?: string; hostname?: string; ipMode?: "VIP" | "Proxy" }>(
      [4, { ip }],
      [2, { ip, ipMode: "VIP" }],
      [1, { ip, ipMode: "Proxy" }],
      [1, { hostname: "lb.example.com" }],
    ),
  );
}

function generatePorts(random: Random, type: string): readonly ServicePortManifest[] {
  const names = new Set<string>();
  const numbers = new Set<string>();
  return random
    .list(1, 3, () => random.pick(PORT_NAMES))
    .flatMap((name) => {
      const protocol = random.weighted<Protocol>([4, "TCP"], [2, "UDP"], [1, "SCTP"]);
      const port = random.pick(PORTS);
      const nodePort = type === "ClusterIP" || random.chance(0.2) ? 0 : random.pick(NODE_PORTS);
      const taken = [`${protocol} ${port}`, `${protocol} node ${nodePort}`];
      if (names.has(name) || taken.some((one) => numbers.has(one))) return [];
      names.add(name);
      numbers.add(taken[0]!);
      if (nodePort !== 0) numbers.add(taken[1]!);
      return [{ name, protocol, port, ...(nodePort !== 0 && { nodePort }) }];
    });
}

function generateSlice(
  random: Random,
  services: readonly ServiceManifest[],
  index: number,
): SliceManifest {
  const service =
    services.length > 0 && random.chance(0.9) ? random.pick(services).metadata : undefined;
  const addressType = random.weighted<"IPv4" | "IPv6" | "FQDN">(
    [5, "IPv4"],
    [3, "IPv6"],
    [1, "FQDN"],
  );
  const isExcluded = random.chance(0.05);
  const address = () => {
    const number = random.between(1, 6);
    const isSix = (addressType === "IPv6") !== random.chance(0.05);
    return isSix ? podV6(number) : podV4(number);
  };
  const hints = random.chance(0.4);
  return {
    metadata: {
      namespace: service?.namespace ?? random.pick(NAMESPACES),
      name: `slice-${index}`,
      labels: {
        "kubernetes.io/service-name": service?.name ?? random.pick(NAMES),
        ...(isExcluded && { "service.kubernetes.io/headless": "" }),
      },
    },
    addressType,
    ports: PORT_NAMES.filter(() => random.chance(0.9)).flatMap((name) =>
      PROTOCOLS.filter(() => random.chance(0.9)).map((protocol) => {
        const port = random.weighted([8, 8080], [4, 9090], [1, 0]);
        return { name, protocol, port };
      }),
    ),
    endpoints: random.list(0, 5, () =>
      generateEndpoint(random, addressType === "FQDN" ? "host.example.com" : address(), hints),
    ),
  };
}

function generateEndpoint(random: Random, address: string, hints: boolean): EndpointManifest {
  const nodeName = random.weighted<string | undefined>(
    [2, NODES[0]],
    [2, NODES[1]],
    [1, NODES[2]],
    [1, undefined],
  );
  const conditions = random.weighted<EndpointManifest["conditions"]>(
    [4, { ready: true, serving: true, terminating: false }],
    [1, {}],
    [3, { ready: false, serving: true, terminating: true }],
    [2, { ready: false, serving: false, terminating: true }],
    [1, { ready: false, serving: false }],
    [1, { ready: true, serving: false }],
    [1, undefined],
  );
  const named = (names: readonly string[]) => ({ name: random.pick(names) });
  const forZones = random.chance(0.8) ? random.list(1, 2, () => named(ZONES)) : undefined;
  const forNodes = random.chance(0.6) ? random.list(1, 2, () => named(NODES)) : undefined;
  return {
    addresses: [address],
    ...(conditions !== undefined && { conditions }),
    ...(nodeName !== undefined && { nodeName }),
    ...(hints && {
      hints: {
        ...(forZones !== undefined && { forZones }),
        ...(forNodes !== undefined && { forNodes }),
      },
    }),
  };
}

/** Most packets are for an address and port of a Service; the rest miss by a hair. */
export function aim(random: Random, { services }: World): Packet {
  const service = services.length > 0 ? random.pick(services) : undefined;
  const { spec, status } = service ?? { spec: {}, status: {} };
  const port = spec.ports?.length
    ? random.pick(spec.ports)
    : { port: 80, protocol: "TCP" as const };
  const external = [
    ...(spec.externalIPs ?? []),
    ...(status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => ip ?? []),
  ];
  const cluster = (spec.clusterIPs ?? []).filter((text) => text !== "None");
  const nodePort = "nodePort" in port ? port.nodePort : undefined;
  const toCluster = [cluster.length > 0 ? random.pick(cluster) : clusterV4(1), port.port] as const;
  const [destination, number] = random.weighted<readonly [string, number]>(
    [5, toCluster],
    [7, external.length > 0 ? [random.pick(external), port.port] : toCluster],
    [5, nodePort === undefined ? toCluster : [random.pick(OWN), nodePort]],
    [1, [random.pick([...OTHER_NODES, ...OWN, ...VIPS]), nodePort ?? 30_080]],
    [1, [random.pick([clusterV4(200), clusterV6(200), podV4(1), OUTSIDE[0]]), port.port]],
    [1, [toCluster[0], random.pick(PORTS)]],
  );
  const isSix = destination.includes(":");
  const sources = [
    ...Array.from({ length: 6 }, (_, index) => (isSix ? podV6 : podV4)(index + 1)),
    ...[...OWN, ...OWN, ...OUTSIDE, ...OUTSIDE].filter((text) => text.includes(":") === isSix),
    destination,
  ];
  const protocol = random.chance(0.9) ? (port.protocol ?? "TCP") : random.pick(PROTOCOLS);
  return { source: random.pick(sources), destination, port: number, protocol };
}
