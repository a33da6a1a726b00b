import { readFileSync } from "node:fs";
import type { KubeConnection } from "../../../operator/kube/connection.js";
import type { Cluster } from "./cluster.js";

/** A connection of the program under test that may do all. */
export function adminConnection(cluster: Cluster, servers = [cluster.url]): KubeConnection {
  const { ca, admin } = cluster.certificates;
  const tls = {
    ca: readFileSync(ca.certificate),
    cert: readFileSync(admin.certificate),
    key: readFileSync(admin.key),
  };
  return {
    servers,
    namespace: "default",
    tls: () => Promise.resolve(tls),
    credentials: () => Promise.resolve({ headers: {} }),
  };
}
