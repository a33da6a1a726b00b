import { existsSync } from "node:fs";
import type { RequestOptions } from "node:https";
import { delimiter, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { KubeConfig } from "@kubernetes/client-node";
import type { KubeConnection, TlsOptions } from "./connection.js";
import { KubeError } from "./errors.js";
import { podServiceAccount } from "./service-account.js";

export interface KubeconfigOptions {
  /** Absent: the files of KUBECONFIG, else ~/.kube/config, else the service account of the pod. */
  readonly file?: string;
  /** Absent: the current context of the file. */
  readonly context?: string;
  /** Of the process unless a test gives another. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/**
 * A connection as kubectl would make it: CA, client certificate, token, exec plugins, `tls-server-name`,
 * `insecure-skip-tls-verify`. Loads the official client, which takes most of a second; so it is for programs that people
 * start, and for agents outside of a cluster.
 *
 * A server with `http:` (kubectl proxy) gets no credentials.
 *
 * @throws KubeError SLUICE_KUBE_CONFIG
 */
export async function openKubeconfig(options: KubeconfigOptions = {}): Promise<KubeConnection> {
  const { env = process.env } = options;
  let config = await load(options, env);
  const context = readContext(config, options.context);
  let tls: TlsOptions | undefined;
  /** Runs exec plugins, reads certificate files. */
  const apply = async (): Promise<RequestOptions> => {
    if (context.server.startsWith("http:")) return {};
    try {
      const applied: RequestOptions = {};
      await config.applyToHTTPSOptions(applied);
      return applied;
    } catch (cause) {
      throw configError(`cannot get the credentials of context ${context.name}`, cause);
    }
  };
  return {
    servers: [context.server],
    namespace: context.namespace,
    async tls() {
      const { ca, cert, key, servername, rejectUnauthorized } = await apply();
      const now: TlsOptions = {
        ...(ca !== undefined && { ca }),
        ...(cert !== undefined && { cert }),
        ...(key !== undefined && { key }),
        ...(servername !== undefined && { servername }),
        ...(rejectUnauthorized !== undefined && { rejectUnauthorized }),
      };
      if (tls === undefined || !isDeepStrictEqual(tls, now)) tls = now;
      return tls;
    },
    async credentials(isRefused) {
      if (isRefused) {
        // It caches what plugins gave for as long as they allowed; a new one asks them again.
        config = await load(options, env);
        readContext(config, options.context);
      }
      const { headers = {}, auth } = await apply();
      const texts = Object.entries(headers).map(([name, value]) => [name, String(value)]);
      const basic = auth === undefined || auth === null ? [] : [["Authorization", basicOf(auth)]];
      return { headers: Object.fromEntries([...texts, ...basic]) as Record<string, string> };
    },
  };
}

function basicOf(auth: string): string {
  return `Basic ${Buffer.from(auth).toString("base64")}`;
}

async function load(
  { file }: KubeconfigOptions,
  env: Readonly<Record<string, string | undefined>>,
): Promise<KubeConfig> {
  const { KubeConfig: Config } = await import("@kubernetes/client-node");
  const config = new Config();
  const files = file === undefined ? defaultFiles(env) : [file];
  if (files.length === 0) {
    if (!existsSync(join(podServiceAccount, "token"))) {
      throw new KubeError("SLUICE_KUBE_CONFIG", "there is no kubeconfig", {
        remedy: "Give --kubeconfig FILE, set KUBECONFIG, or make ~/.kube/config",
      });
    }
    config.loadFromCluster();
    return config;
  }
  for (const path of files) {
    try {
      // As kubectl: of two entries with one name, the first file's counts.
      const next = new Config();
      next.loadFromFile(path);
      next.clusters = next.clusters.filter(({ name }) => config.getCluster(name) === null);
      next.users = next.users.filter(({ name }) => config.getUser(name) === null);
      next.contexts = next.contexts.filter(({ name }) => config.getContextObject(name) === null);
      config.mergeConfig(next, Boolean(config.getCurrentContext()));
    } catch (cause) {
      throw configError(`cannot read the kubeconfig ${path}`, cause);
    }
  }
  return config;
}

/** Those that exist; kubectl, too, passes over the others. */
function defaultFiles(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  const { KUBECONFIG: list, HOME: home } = env;
  const paths =
    list !== undefined && list !== ""
      ? list.split(delimiter).filter((path) => path !== "")
      : home === undefined
        ? []
        : [join(home, ".kube", "config")];
  return paths.filter((path) => existsSync(path));
}

interface UsedContext {
  readonly name: string;
  readonly server: string;
  readonly namespace: string;
}

/** Makes the context current, and checks what it leads to. */
function readContext(config: KubeConfig, wanted: string | undefined): UsedContext {
  if (wanted !== undefined) config.setCurrentContext(wanted);
  const name = config.getCurrentContext();
  const names = config.contexts.map((known) => known.name).join(", ");
  const context = config.getContextObject(name);
  if (context === null) {
    throw new KubeError(
      "SLUICE_KUBE_CONFIG",
      name ? `the kubeconfig has no context ${name}` : "the kubeconfig has no current context",
      { remedy: `Give --context with one of: ${names || "none is there"}` },
    );
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new KubeError(
      "SLUICE_KUBE_CONFIG",
      `context ${name} names the cluster ${context.cluster}, which the kubeconfig does not have`,
    );
  }
  if (config.getCurrentUser() === null) {
    throw new KubeError(
      "SLUICE_KUBE_CONFIG",
      `context ${name} names the user ${context.user}, which the kubeconfig does not have`,
    );
  }
  if (cluster.proxyUrl) {
    throw new KubeError(
      "SLUICE_KUBE_CONFIG",
      `cluster ${cluster.name} has proxy-url ${cluster.proxyUrl}, which Sluice does not speak`,
      { remedy: "Give a context that reaches the API server directly" },
    );
  }
  if (!/^https?:\/\/./.test(cluster.server)) {
    throw new KubeError(
      "SLUICE_KUBE_CONFIG",
      `cluster ${cluster.name} has the server ${cluster.server}, which is no URL`,
      { remedy: "Write it as https://HOST:PORT" },
    );
  }
  return {
    name,
    server: cluster.server.replace(/\/+$/, ""),
    namespace: context.namespace?.trim() || "default",
  };
}

function configError(what: string, cause: unknown): KubeError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new KubeError("SLUICE_KUBE_CONFIG", `${what}: ${why}`, { cause });
}
