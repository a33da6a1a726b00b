import type { SecureContextOptions } from "node:tls";

/** Who is asking, for one request. */
export interface Credentials {
  /** `Authorization` and the like. */
  readonly headers: Readonly<Record<string, string>>;
}

/** How the API server is reached: a service account's folder, or a kubeconfig. */
export interface KubeConnection {
  /** Base URLs without a trailing slash, all of one cluster, in the order of preference. */
  readonly servers: readonly string[];
  /** Namespace that objects without one belong to. */
  readonly namespace: string;
  /**
   * TLS options for a new connection. Read again for each one, so that a rotated CA or client certificate counts.
   */
  tls(): Promise<SecureContextOptions & { servername?: string; rejectUnauthorized?: boolean }>;
  /**
   * Credentials for one request.
   *
   * @param isRefused the server has just answered 401: what is cached must not be given again
   */
  credentials(isRefused: boolean): Promise<Credentials>;
}
