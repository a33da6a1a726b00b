/** What the projections read of Kubernetes' own kinds, by the numbers of its `generated.proto`. */
import { AgedObjectMeta, message, ObjectMeta } from "../kube/protobuf.js";

const ServicePort = message({
  name: [1, "text"],
  protocol: [2, "text"],
  port: [3, "integer"],
  targetPort: [4, "number or text"],
  nodePort: [5, "integer"],
});

const LoadBalancerIngress = message({
  ip: [1, "text"],
  hostname: [2, "text"],
  ipMode: [3, "text"],
});

/** core/v1 */
export const Service = message({
  metadata: [1, ObjectMeta],
  spec: [
    2,
    message({
      ports: [1, ServicePort, "list"],
      clusterIP: [3, "text"],
      type: [4, "text"],
      externalIPs: [5, "text", "list"],
      sessionAffinity: [7, "text"],
      loadBalancerSourceRanges: [9, "text", "list"],
      externalTrafficPolicy: [11, "text"],
      healthCheckNodePort: [12, "integer"],
      publishNotReadyAddresses: [13, "flag"],
      sessionAffinityConfig: [
        14,
        message({ clientIP: [1, message({ timeoutSeconds: [1, "integer"] })] }),
      ],
      clusterIPs: [18, "text", "list"],
      loadBalancerClass: [21, "text"],
      internalTrafficPolicy: [22, "text"],
      trafficDistribution: [23, "text"],
    }),
  ],
  status: [
    3,
    message({ loadBalancer: [1, message({ ingress: [1, LoadBalancerIngress, "list"] })] }),
  ],
});

const Named = message({ name: [1, "text"] });

const Endpoint = message({
  addresses: [1, "text", "list"],
  conditions: [2, message({ ready: [1, "flag"], serving: [2, "flag"], terminating: [3, "flag"] })],
  nodeName: [6, "text"],
  hints: [8, message({ forZones: [1, Named, "list"], forNodes: [2, Named, "list"] })],
});

/** discovery.k8s.io/v1 */
export const EndpointSlice = message({
  metadata: [1, ObjectMeta],
  endpoints: [2, Endpoint, "list"],
  ports: [3, message({ name: [1, "text"], protocol: [2, "text"], port: [3, "integer"] }), "list"],
  addressType: [4, "text"],
});

const Container = message({
  ports: [
    6,
    message({ name: [1, "text"], containerPort: [3, "integer"], protocol: [4, "text"] }),
    "list",
  ],
  restartPolicy: [24, "text"],
});

/** core/v1 */
export const Pod = message({
  metadata: [1, ObjectMeta],
  spec: [
    2,
    message({
      containers: [2, Container, "list"],
      nodeName: [10, "text"],
      hostNetwork: [11, "flag"],
      initContainers: [20, Container, "list"],
    }),
  ],
  status: [
    3,
    message({
      phase: [1, "text"],
      podIP: [6, "text"],
      podIPs: [12, message({ ip: [1, "text"] }), "list"],
    }),
  ],
});

/** core/v1; without the list of its images, which is the most of it */
export const Node = message({
  metadata: [1, AgedObjectMeta],
  spec: [
    2,
    message({
      podCIDR: [1, "text"],
      taints: [5, message({ key: [1, "text"], value: [2, "text"], effect: [3, "text"] }), "list"],
      podCIDRs: [7, "text", "list"],
    }),
  ],
  status: [
    3,
    message({ addresses: [5, message({ type: [1, "text"], address: [2, "text"] }), "list"] }),
  ],
});
