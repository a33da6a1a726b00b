import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import type { Namespace } from "../netns.js";
import type { Cluster } from "./cluster.js";

const script = `
  const { connect, createServer } = require("node:net");
  const [port, path] = process.argv.slice(1);
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const far = connect({ path, allowHalfOpen: true });
    client.on("error", () => far.destroy()).on("close", () => far.destroy());
    far.on("error", () => client.destroy()).on("close", () => client.destroy());
    client.pipe(far).pipe(client);
  });
  server.listen(Number(port), "127.0.0.1", () => console.log("up"));
`;

export interface Tunnel {
  /** Where the API server is, inside the namespace. */
  readonly endpoint: string;
  /** Cuts the connections there are, as a restarted router does. */
  cut(): void;
  /** Happens with the end of the cluster at the latest. */
  close(): Promise<void>;
}

let tunnels = 0;

/**
 * Lets programs in a namespace reach what listens on the loopback of the test: through a Unix socket, which all
 * namespaces share. It leads to where the API server is at the moment, unless `to` says otherwise.
 */
export async function openTunnel(
  cluster: Cluster,
  namespace: Pick<Namespace, "path">,
  { port = 6443, to = () => cluster.url }: { port?: number; to?: () => string } = {},
): Promise<Tunnel> {
  const path = join(cluster.folder, `tunnel-${++tunnels}`);
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const { hostname, port: target } = new URL(to());
    const far = connect({ host: hostname, port: Number(target), allowHalfOpen: true });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        open.delete(socket);
        other.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  server.listen(path);
  await once(server, "listening");
  const child = spawn(
    "setpriv",
    [
      ...["--pdeathsig", "KILL", "nsenter", `--net=${namespace.path}`],
      ...[process.execPath, "-e", script, String(port), path],
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const cut = () => {
    for (const socket of open) socket.destroy();
  };
  const close = async () => {
    if (!server.listening) return;
    child.kill("SIGKILL");
    const closed = once(server, "close");
    server.close();
    cut();
    await closed;
  };
  cluster.onClose(close);
  await once(child.stdout, "data");
  return { endpoint: `127.0.0.1:${port}`, cut, close };
}
