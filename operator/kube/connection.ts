import type { SecureContextOptions } from "node:tls";

export interface TlsOptions extends SecureContextOptions {
  /** Name that the server's certificate must have, when it is not the one in the URL. */
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

/** Who is asking, for one request. */
export interface Credentials {
  /** `Authorization` and the like. */
  readonly headers: Readonly<Record<string, string>>;
}

/** How the API server is reached: a service account's folder, or a kubeconfig. */
export interface KubeConnection {
  /** Base URLs without a trailing slash, all of one cluster, in the order of preference; at least one. */
  readonly servers: readonly string[];
  /** Namespace that objects without one belong to. */
  readonly namespace: string;
  /** For new connections. The same object as long as nothing changed: a new one ends kept connections. */
  tls(): Promise<TlsOptions>;
  /**
   * Credentials for one request.
   *
   * @param isRefused the server has just answered 401: what is cached must not be given again
   */
  credentials(isRefused: boolean): Promise<Credentials>;
}
