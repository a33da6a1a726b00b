import { createPrivateKey, sign } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { KubeObject } from "./apply.js";
import type { Cluster } from "./cluster.js";
import { writeKubeconfig } from "./kubectl.js";

export interface AgentAccountOptions {
  /** Default `sluice-system`; made when it is not there. */
  readonly namespace?: string;
  /** Default `sluice-agent`; made when it is not there, without any right. */
  readonly serviceAccount?: string;
}

/** What a pod of the agent has of its service account, with a token bound to that pod and so to its node. */
export interface AgentAccount {
  /** Holds `token`, `ca.crt` and `namespace`. */
  readonly folder: string;
  /** The same as a file for kubectl; its token is renewed too. */
  readonly kubeconfig: string;
  readonly namespace: string;
  readonly podName: string;
  readonly token: () => string;
  /**
   * Puts a new token into the folder, as the kubelet does: the file is replaced, never half written.
   *
   * @param lifetimeSeconds default an hour; may be negative. The API server accepts a token up to 60 s after its
   *   end, and one that it has seen just before for 10 s more.
   */
  readonly renewToken: (lifetimeSeconds?: number) => Promise<void>;
}

/** Makes the Node unless it is there, an agent's Pod on it, and a token for that Pod. */
export async function createAgentAccount(
  cluster: Cluster,
  nodeName: string,
  { namespace = "sluice-system", serviceAccount = "sluice-agent" }: AgentAccountOptions = {},
): Promise<AgentAccount> {
  const podName = `sluice-agent-${nodeName}`;
  const pods = `/api/v1/namespaces/${namespace}/pods`;
  await cluster.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
  await cluster.apply({
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name: serviceAccount, namespace },
  });
  const { status } = await cluster.rest.send({ path: `/api/v1/nodes/${nodeName}` });
  if (status === 404) await cluster.createNode(nodeName);
  await cluster.apply(agentPod(podName, namespace, nodeName, serviceAccount));
  const { metadata } = await cluster.get<KubeObject>(`${pods}/${podName}`);

  const folder = join(cluster.folder, `account-${namespace}-${nodeName}`);
  mkdirSync(folder, { recursive: true });
  copyFileSync(cluster.caFile, join(folder, "ca.crt"));
  writeFileSync(join(folder, "namespace"), namespace);
  const tokenFile = join(folder, "token");
  const kubeconfig = join(folder, "kubeconfig");
  const account: AgentAccount = {
    folder,
    kubeconfig,
    namespace,
    podName,
    token: () => readFileSync(tokenFile, "utf8"),
    async renewToken(lifetimeSeconds = 3600) {
      const { status } = await cluster.request<{ readonly status: { readonly token: string } }>({
        method: "POST",
        path: `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`,
        body: {
          apiVersion: "authentication.k8s.io/v1",
          kind: "TokenRequest",
          spec: {
            // The API server grants no less than ten minutes.
            expirationSeconds: Math.max(lifetimeSeconds, 600),
            boundObjectRef: { apiVersion: "v1", kind: "Pod", name: podName, uid: metadata.uid },
          },
        },
      });
      const token =
        lifetimeSeconds < 600
          ? withLifetime(status.token, lifetimeSeconds, cluster.certificates.tokenKey)
          : status.token;
      writeFileSync(`${tokenFile}.new`, token, { mode: 0o600 });
      renameSync(`${tokenFile}.new`, tokenFile);
      writeKubeconfig(kubeconfig, cluster.url, cluster.caFile, { token });
    },
  };
  await account.renewToken();
  return account;
}

function agentPod(
  name: string,
  namespace: string,
  nodeName: string,
  serviceAccountName: string,
): KubeObject {
  const labels = { "app.kubernetes.io/name": "sluice", "app.kubernetes.io/component": "agent" };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels },
    spec: {
      nodeName,
      serviceAccountName,
      hostNetwork: true,
      containers: [{ name: "agent", image: "sluice" }],
    },
  };
}

/** The same token with other times, signed anew: the API server itself makes none that ends soon. */
function withLifetime(token: string, lifetimeSeconds: number, keyFile: string): string {
  const [header = "", payload = ""] = token.split(".");
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as object;
  const now = Math.floor(Date.now() / 1000);
  const start = now - 3600;
  const times = { iat: start, nbf: start, exp: now + lifetimeSeconds };
  const encoded = Buffer.from(JSON.stringify({ ...claims, ...times })).toString("base64url");
  const signed = `${header}.${encoded}`;
  const key = createPrivateKey(readFileSync(keyFile));
  const signature = sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" });
  return `${signed}.${signature.toString("base64url")}`;
}
