import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { KubeError } from "./errors.js";
import { openKubeconfig } from "./kubeconfig.js";

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-kubeconfig-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

interface Entry {
  readonly cluster?: object;
  readonly user?: object;
  readonly context?: object;
  readonly current?: string;
}

/** A kubeconfig with one cluster, user and context, all of this name. */
function write(name: string, { cluster, user, context, current = name }: Entry = {}): string {
  const file = join(folder, `${name}.yaml`);
  const server = `https://${name}.example:6443/`;
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster: { server, ...cluster } }],
    users: [{ name, user: { ...user } }],
    contexts: [{ name, context: { cluster: name, user: name, ...context } }],
    "current-context": current,
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
}

function isConfigError(problem: RegExp, remedy = /./) {
  return (error: unknown) => {
    assert.ok(error instanceof KubeError);
    assert.equal(error.code, "SLUICE_KUBE_CONFIG");
    assert.match(error.problem, problem);
    assert.match(error.remedy ?? "", remedy);
    return true;
  };
}

test("server, namespace, CA, client certificate and server name come from the context", async () => {
  writeFileSync(join(folder, "ca.pem"), "the ca");
  const file = write("full", {
    cluster: { "certificate-authority": "ca.pem", "tls-server-name": "inner.example" },
    user: {
      "client-certificate-data": Buffer.from("cert").toString("base64"),
      "client-key-data": Buffer.from("key").toString("base64"),
    },
    context: { namespace: "team" },
  });
  const connection = await openKubeconfig({ file });
  assert.deepEqual(connection.servers, ["https://full.example:6443"]);
  assert.equal(connection.namespace, "team");
  const tls = await connection.tls();
  assert.equal(String(tls.ca), "the ca");
  assert.equal(String(tls.cert), "cert");
  assert.deepEqual(tls.key, Buffer.from("key"));
  assert.equal(tls.servername, "inner.example");
  assert.equal(tls.rejectUnauthorized, undefined);
  assert.equal(await connection.tls(), tls);
  writeFileSync(join(folder, "ca.pem"), "another ca");
  assert.equal(String((await connection.tls()).ca), "another ca");
});

test("a token, a password and insecure-skip-tls-verify are passed on", async () => {
  const file = write("token", {
    cluster: { "insecure-skip-tls-verify": true },
    user: { token: "secret" },
  });
  const connection = await openKubeconfig({ file });
  assert.equal((await connection.tls()).rejectUnauthorized, false);
  assert.equal((await connection.credentials(false)).headers["Authorization"], "Bearer secret");
  const basic = await openKubeconfig({
    file: write("basic", { user: { username: "a", password: "b" } }),
  });
  assert.equal((await basic.credentials(false)).headers["Authorization"], "Basic YTpi");
});

test("an exec plugin gives the token, and is asked again when that was refused", async () => {
  const count = join(folder, "count");
  writeFileSync(count, "0");
  const script = `
    const fs = require("node:fs");
    const n = Number(fs.readFileSync(${JSON.stringify(count)}, "utf8")) + 1;
    fs.writeFileSync(${JSON.stringify(count)}, String(n));
    console.log(JSON.stringify({
      apiVersion: "client.authentication.k8s.io/v1", kind: "ExecCredential",
      status: { token: "token-" + n },
    }));`;
  const exec = {
    apiVersion: "client.authentication.k8s.io/v1",
    command: process.execPath,
    args: ["-e", script],
    interactiveMode: "Never",
  };
  const connection = await openKubeconfig({ file: write("exec", { user: { exec } }) });
  const authorization = async (isRefused: boolean) =>
    (await connection.credentials(isRefused)).headers["Authorization"];
  assert.equal(await authorization(false), "Bearer token-1");
  assert.equal(await authorization(false), "Bearer token-1");
  assert.equal(await authorization(true), "Bearer token-2");
});

test("an exec plugin that fails is an error that names the context", async () => {
  const exec = { apiVersion: "client.authentication.k8s.io/v1", command: "/nonexistent/plugin" };
  const connection = await openKubeconfig({ file: write("broken", { user: { exec } }) });
  await assert.rejects(
    connection.credentials(false),
    isConfigError(/credentials of context broken: .*ENOENT/),
  );
});

test("KUBECONFIG names several files: the first entry of a name counts, absent files do not", async () => {
  const one = write("one");
  const two = write("two", { context: { namespace: "second" } });
  const env = { KUBECONFIG: [join(folder, "absent"), one, two].join(":"), HOME: folder };
  assert.deepEqual((await openKubeconfig({ env })).servers, ["https://one.example:6443"]);
  const other = await openKubeconfig({ env, context: "two" });
  assert.deepEqual(other.servers, ["https://two.example:6443"]);
  assert.equal(other.namespace, "second");
});

test("without KUBECONFIG it is the file in the home folder; without that an error", async () => {
  const home = join(folder, "home");
  mkdirSync(join(home, ".kube"), { recursive: true });
  await assert.rejects(
    openKubeconfig({ env: { HOME: home } }),
    isConfigError(/there is no kubeconfig/, /--kubeconfig FILE/),
  );
  const written = write("athome");
  writeFileSync(join(home, ".kube", "config"), (await import("node:fs")).readFileSync(written));
  assert.deepEqual((await openKubeconfig({ env: { HOME: home } })).servers, [
    "https://athome.example:6443",
  ]);
});

test("a server without TLS, as of kubectl proxy, gets no credentials", async () => {
  const file = write("proxy", {
    cluster: { server: "http://127.0.0.1:8001" },
    user: { token: "secret" },
  });
  const connection = await openKubeconfig({ file });
  assert.deepEqual(connection.servers, ["http://127.0.0.1:8001"]);
  assert.deepEqual(await connection.credentials(false), { headers: {} });
});

test("what cannot work is refused with what to do", async () => {
  const file = write("plain");
  await assert.rejects(
    openKubeconfig({ file, context: "nope" }),
    isConfigError(/no context nope/, /one of: plain/),
  );
  await assert.rejects(
    openKubeconfig({ file: write("dangling", { context: { cluster: "gone" } }) }),
    isConfigError(/the cluster gone, which/),
  );
  await assert.rejects(
    openKubeconfig({ file: write("nouser", { context: { user: "gone" } }) }),
    isConfigError(/the user gone, which/),
  );
  await assert.rejects(
    openKubeconfig({
      file: write("proxied", { cluster: { "proxy-url": "http://192.0.2.1:3128" } }),
    }),
    isConfigError(/proxy-url http:\/\/192\.0\.2\.1:3128, which Sluice does not speak/),
  );
  await assert.rejects(
    openKubeconfig({ file: write("nourl", { cluster: { server: "ftp://x" } }) }),
    isConfigError(/ftp:\/\/x, which is no URL/),
  );
  await assert.rejects(
    openKubeconfig({ file: join(folder, "absent.yaml") }),
    isConfigError(/cannot read the kubeconfig .*ENOENT/),
  );
  writeFileSync(join(folder, "broken.txt"), "a: [");
  await assert.rejects(
    openKubeconfig({ file: join(folder, "broken.txt") }),
    isConfigError(/cannot read the kubeconfig/),
  );
});
