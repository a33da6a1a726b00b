import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";

/** What the API server passes on. */
export interface ExecRequest {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly command: readonly string[];
}

/** What is run for it. */
export interface ExecCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface KubeletOptions {
  /** Paths of PEM files. */
  readonly certificate: string;
  readonly key: string;
  /** Undefined: the pod is not known. */
  command(request: ExecRequest): ExecCommand | undefined;
}

export interface Kubelet {
  readonly port: number;
  /** Commands that were started. */
  readonly started: readonly ExecRequest[];
  /** Commands that have not ended. */
  running(): number;
  /** Cuts the connections to a pod off, as a network does. */
  cut(pod: string): void;
  close(): Promise<void>;
}

/**
 * As much of a kubelet as `pods/exec` needs: `GET /exec/NAMESPACE/POD/CONTAINER` with an upgrade to
 * `v4.channel.k8s.io`, as the kubelet of Kubernetes 1.35 and containerd answer it.
 */
export async function startKubelet(options: KubeletOptions): Promise<Kubelet> {
  const started: ExecRequest[] = [];
  const children = new Set<ChildProcess>();
  const podSockets = new Map<string, readonly WebSocket[]>();
  const server = createServer({
    cert: readFileSync(options.certificate),
    key: readFileSync(options.key),
  });
  const sockets = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => (offered.has("v4.channel.k8s.io") ? "v4.channel.k8s.io" : false),
  });
  server.on("upgrade", (request: IncomingMessage, socket, head) => {
    const wanted = readRequest(request);
    const command = wanted === undefined ? undefined : options.command(wanted);
    if (wanted === undefined || command === undefined) {
      const body = "pod does not exist";
      socket.end(`HTTP/1.1 404 Not Found\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (open) => {
      started.push(wanted);
      podSockets.set(wanted.pod, [...(podSockets.get(wanted.pod) ?? []), open]);
      const child = runCommand(open, command, isOn(request, "input"));
      children.add(child);
      child.on("close", () => children.delete(child));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    started,
    running: () => children.size,
    cut(pod) {
      for (const socket of podSockets.get(pod) ?? []) socket.terminate();
    },
    async close() {
      for (const socket of sockets.clients) socket.terminate();
      for (const child of children) child.kill("SIGKILL");
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function queryOf({ url = "" }: IncomingMessage): URLSearchParams {
  return new URL(url, "https://kubelet").searchParams;
}

function isOn(request: IncomingMessage, name: string): boolean {
  return queryOf(request).get(name) === "1";
}

function readRequest(request: IncomingMessage): ExecRequest | undefined {
  const { pathname } = new URL(request.url ?? "", "https://kubelet");
  const [, verb, namespace, pod, container] = pathname.split("/");
  if (verb !== "exec" || namespace === undefined || pod === undefined || container === undefined) {
    return undefined;
  }
  return { namespace, pod, container, command: queryOf(request).getAll("command") };
}

function runCommand(
  socket: WebSocket,
  { program, args, env }: ExecCommand,
  hasInput: boolean,
): ChildProcess {
  const child = spawn(program, args, { env, stdio: ["pipe", "pipe", "pipe"] });
  const send = (channel: number, payload: Uint8Array | string, done?: () => void) =>
    socket.send(Buffer.concat([Buffer.of(channel), Buffer.from(payload)]), () => done?.());
  // It opens the channels that it writes to with an empty message each.
  for (const channel of [1, 2, 3]) send(channel, "");
  if (hasInput) {
    socket.on("message", (data: Buffer) => {
      if (data[0] === 0) child.stdin.write(data.subarray(1));
    });
  } else {
    child.stdin.end();
  }
  // A command may end without reading its input.
  child.stdin.on("error", () => undefined);
  socket.on("close", () => child.stdin.end());
  socket.on("error", () => undefined);
  for (const [channel, stream] of [[1, child.stdout] as const, [2, child.stderr] as const]) {
    stream.on("data", (chunk: Buffer) => {
      stream.pause();
      send(channel, chunk, () => stream.resume());
    });
  }
  child.on("error", ({ message }) => {
    send(3, JSON.stringify({ status: "Failure", reason: "InternalError", message }));
    socket.close();
  });
  child.on("close", (code) => {
    send(3, JSON.stringify(exitStatus(code)));
    socket.close(1000);
  });
  return child;
}

function exitStatus(code: number | null): unknown {
  if (code === 0) return { metadata: {}, status: "Success" };
  return {
    metadata: {},
    status: "Failure",
    message: `command terminated with non-zero exit code: exit status ${code}`,
    reason: "NonZeroExitCode",
    details: { causes: [{ reason: "ExitCode", message: String(code ?? 137) }] },
  };
}
