import { randomInt } from "node:crypto";
import { request } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import type { Certificates } from "./certificates.js";
import { type ServerProcess, startServer, untilReady } from "./process.js";
import type { RestClient } from "./rest.js";
import { toolPath } from "./tools.js";

/** Its host and port are the name of a Unix socket in the working folder: no port can be taken by another. */
const etcdSocket = "etcd:0";

export interface Etcd {
  readonly process: ServerProcess;
  /** Forgets all revisions before the present one, which it returns. */
  compact(): Promise<number>;
  /** Writes values by their keys at once, past the API server. */
  put(values: Readonly<Record<string, string>>): Promise<void>;
}

export async function startEtcd(folder: string): Promise<Etcd> {
  const process = startServer(
    toolPath("etcd"),
    [
      "--name=test",
      `--data-dir=${join(folder, "etcd")}`,
      "--unsafe-no-fsync",
      "--log-level=error",
      `--listen-client-urls=unix://${etcdSocket}`,
      "--advertise-client-urls=http://127.0.0.1:1",
      "--listen-peer-urls=http://127.0.0.1:0",
    ],
    folder,
  );
  const call = (path: string, body: unknown) => callEtcd(folder, path, body);
  await untilReady("etcd", process, async () => {
    await call("/v3/maintenance/status", {});
    return true;
  });
  return {
    process,
    async compact() {
      const { header } = (await call("/v3/kv/range", { key: "AA==" })) as {
        readonly header: { readonly revision: string };
      };
      await call("/v3/kv/compaction", { revision: header.revision, physical: true });
      return Number(header.revision);
    },
    async put(values) {
      const base64 = (text: string) => Buffer.from(text).toString("base64");
      const success = Object.entries(values).map(([key, value]) => ({
        requestPut: { key: base64(key), value: base64(value) },
      }));
      await call("/v3/kv/txn", { success });
    },
  };
}

function callEtcd(folder: string, path: string, body: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: join(folder, etcdSocket), path, method: "POST" });
    call.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => void (text += part));
      response.on("end", () => {
        if (response.statusCode === 200) resolve(JSON.parse(text));
        else reject(new Error(`etcd ${path}: ${response.statusCode} ${text}`));
      });
    });
    call.on("error", reject);
    call.end(JSON.stringify(body));
  });
}

/**
 * Starts kube-apiserver on loopback and waits until it is ready.
 *
 * @param flags more of its flags; they come last and so win
 */
export async function startApiServer(
  folder: string,
  certificates: Certificates,
  port: number,
  flags: readonly string[],
  client: RestClient,
): Promise<ServerProcess> {
  const { ca, serving, kubeletClient, tokenKey } = certificates;
  const process = startServer(
    toolPath("kube-apiserver"),
    [
      `--etcd-servers=unix:${join(folder, etcdSocket)}`,
      "--bind-address=127.0.0.1",
      "--advertise-address=127.0.0.1",
      `--secure-port=${port}`,
      `--tls-cert-file=${serving.certificate}`,
      `--tls-private-key-file=${serving.key}`,
      `--client-ca-file=${ca.certificate}`,
      `--kubelet-client-certificate=${kubeletClient.certificate}`,
      `--kubelet-client-key=${kubeletClient.key}`,
      "--kubelet-preferred-address-types=InternalIP",
      "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
      `--service-account-signing-key-file=${tokenKey}`,
      `--service-account-key-file=${tokenKey}`,
      "--service-cluster-ip-range=10.96.0.0/12,fd00:10:96::/112",
      "--authorization-mode=Node,RBAC",
      "--allow-privileged",
      // The Service `kubernetes` cannot have an endpoint on loopback.
      "--endpoint-reconciler-type=none",
      "--profiling=false",
      ...flags,
    ],
    folder,
  );
  await untilReady("kube-apiserver", process, async () => {
    const { status } = await client.send({ path: "/readyz" });
    return status === 200;
  });
  return process;
}

/**
 * A port of loopback on which nobody listens now. It is below those that the kernel gives to outgoing connections, so
 * that none of them takes it before the server does, or while the server is down.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_768);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
