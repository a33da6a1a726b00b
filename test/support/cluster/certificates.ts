import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** Paths of PEM files. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** Certificates and keys of one cluster. */
export interface Certificates {
  readonly ca: KeyPair;
  /** Of servers on loopback. */
  readonly serving: KeyPair;
  /** A client in the group `system:masters`. */
  readonly admin: KeyPair;
  /** The API server as a client of kubelets. */
  readonly kubeletClient: KeyPair;
  /** Signs the tokens of service accounts. */
  readonly tokenKey: string;
}

const curve = ["-pkeyopt", "ec_paramgen_curve:P-256"];

const config = `
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, digitalSignature
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, DNS:kubernetes.default.svc, IP:127.0.0.1, IP:::1
[client]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
`;

/** Makes them in a folder. */
export function createCertificates(folder: string): Certificates {
  writeFileSync(join(folder, "openssl.cnf"), config);
  const ca = issue(folder, "ca", "ca", "/CN=test-ca");
  const tokenKey = join(folder, "tokens.key");
  openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", tokenKey);
  return {
    ca,
    serving: issue(folder, "serving", "server", "/CN=kube-apiserver", ca),
    admin: issue(folder, "admin", "client", "/O=system:masters/CN=admin", ca),
    kubeletClient: issue(folder, "kubelet-client", "client", "/CN=kube-apiserver-kubelet", ca),
    tokenKey,
  };
}

/**
 * Issues one more certificate, valid for a day.
 *
 * @param signer signs it; without one it signs itself
 */
export function issue(
  folder: string,
  name: string,
  usage: "ca" | "server" | "client",
  subject: string,
  signer?: KeyPair,
): KeyPair {
  const certificate = join(folder, `${name}.crt`);
  const key = join(folder, `${name}.key`);
  const sign = signer === undefined ? [] : ["-CA", signer.certificate, "-CAkey", signer.key];
  const form = ["-config", join(folder, "openssl.cnf"), "-extensions", usage, "-subj", subject];
  const files = ["-keyout", key, "-out", certificate];
  openssl(
    "req",
    "-x509",
    "-newkey",
    "ec",
    ...curve,
    "-noenc",
    "-days",
    "1",
    ...form,
    ...sign,
    ...files,
  );
  return { certificate, key };
}

function openssl(...args: readonly string[]): void {
  execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
}
