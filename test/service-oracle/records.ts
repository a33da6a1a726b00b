/** Records of Services and slices for tests that need no manifests. */

import {
  type EndpointSliceRecord,
  READY,
  SERVING,
  type ServiceRecord,
} from "../../operator/model/records-service.js";

const origin = { source: "test" };

/** In namespace `ns`, with the port `http` 80/TCP. */
export function testService(name: string, more: Partial<ServiceRecord> = {}): ServiceRecord {
  return {
    kind: "Service",
    namespace: "ns",
    name,
    origin,
    createdAtMs: 0,
    type: "ClusterIP",
    isExcluded: false,
    isHeadless: false,
    ipv4: 0xac1e_0001,
    ipv6: undefined,
    ports: [{ name: "http", protocol: "tcp", port: 80, targetPort: 8080, nodePort: 0 }],
    externalIPs: [],
    loadBalancerIPs: [],
    sourceRanges: [],
    externalTrafficPolicy: "Cluster",
    internalTrafficPolicy: "Cluster",
    healthCheckNodePort: 0,
    affinitySeconds: 0,
    publishNotReadyAddresses: false,
    trafficDistribution: undefined,
    loadBalancerClass: undefined,
    annotations: {},
    ...more,
  };
}

/** In namespace `ns`, of IPv4, all of it ready and on no node, behind port 8080. */
export function testSlice(
  name: string,
  serviceName: string | undefined,
  addresses: readonly number[] = [],
  more: Partial<EndpointSliceRecord> = {},
): EndpointSliceRecord {
  return {
    kind: "EndpointSlice",
    namespace: "ns",
    name,
    origin,
    serviceName,
    isExcluded: false,
    family: 4,
    ports: [{ name: "http", protocol: "tcp", port: 8080 }],
    addresses,
    conditions: addresses.map(() => READY | SERVING),
    nodeNames: [],
    zoneHints: undefined,
    nodeHints: undefined,
    triggeredAtMs: undefined,
    ...more,
  };
}
