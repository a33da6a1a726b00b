import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocket } from "ws";
import type { KubeConnection } from "./connection.js";
import { errorOfStatus, KubeError } from "./errors.js";
import { type ExecExit, ExecStream } from "./exec-stream.js";

export interface ExecTarget {
  readonly namespace: string;
  readonly pod: string;
  readonly container?: string;
  /** Program and its arguments; no shell comes between. */
  readonly command: readonly string[];
  /** Whether the command reads what is written. */
  readonly hasInput: boolean;
}

export interface ExecOptions {
  readonly userAgent: string;
  /** Until the kubelet has started the command; default 10,000. */
  readonly timeoutMs?: number;
  /** Time between two pings; a connection that answers none is given up. Default 30,000. */
  readonly pingMs?: number;
  /** Gets standard error as it comes. The error of a failed command quotes its end anyway. */
  onStderr?(chunk: Buffer): void;
  /**
   * Called when the command has ended.
   *
   * @returns what the stream fails with; undefined: it ends. Default: a KubeError unless the exit code is 0
   */
  errorOfExit?(exit: ExecExit): Error | undefined;
}

/**
 * `v5.channel.k8s.io` would be answered by the API server itself, which then speaks SPDY to the kubelet; this one is
 * passed through. It cannot end one direction alone.
 */
export const execProtocol = "v4.channel.k8s.io";
const defaultTimeoutMs = 10_000;
const mostErrorBytes = 64 << 10;

/**
 * Runs a command in a pod. What is written goes to its standard input, what is read is its standard output. Ending or
 * destroying the stream closes the connection, with which the kubelet closes the command's standard input.
 *
 * Needs the rights `get` and `create` on `pods/exec`.
 *
 * @throws KubeError when the command could not be started; later ones are errors of the stream
 */
export async function openExec(
  connection: KubeConnection,
  target: ExecTarget,
  options: ExecOptions,
): Promise<Duplex> {
  let failure: KubeError | undefined;
  for (const server of connection.servers) {
    try {
      return await openAt(server, connection, target, options);
    } catch (error) {
      if (!(error instanceof KubeError) || error.status !== undefined) throw error;
      failure = error;
    }
  }
  throw failure ?? new KubeError("SLUICE_KUBE_CONFIG", "no API server is configured");
}

async function openAt(
  server: string,
  connection: KubeConnection,
  target: ExecTarget,
  options: ExecOptions,
): Promise<Duplex> {
  for (let isRefused = false; ; isRefused = true) {
    const { headers } = await connection.credentials(isRefused);
    try {
      return await upgrade(server, await connection.tls(), headers, target, options);
    } catch (error) {
      if (isRefused || !(error instanceof KubeError) || error.status !== 401) throw error;
    }
  }
}

function upgrade(
  server: string,
  tls: Awaited<ReturnType<KubeConnection["tls"]>>,
  headers: Readonly<Record<string, string>>,
  target: ExecTarget,
  options: ExecOptions,
): Promise<Duplex> {
  const { namespace, pod, container, command, hasInput } = target;
  const url = new URL(
    `${server.replace(/^http/, "ws")}/api/v1/namespaces/${namespace}/pods/${pod}/exec`,
  );
  for (const word of command) url.searchParams.append("command", word);
  if (container !== undefined) url.searchParams.set("container", container);
  url.searchParams.set("stdin", String(hasInput));
  url.searchParams.set("stdout", "true");
  url.searchParams.set("stderr", "true");
  const call = `exec in pod ${namespace}/${pod} through ${server}`;
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, execProtocol, {
      ...tls,
      headers: { "user-agent": options.userAgent, ...headers },
      handshakeTimeout: options.timeoutMs ?? defaultTimeoutMs,
      perMessageDeflate: false,
    });
    // Within the event: the first frames may have come with the answer.
    socket.once("open", () => resolve(new ExecStream(socket, call, options)));
    socket.on("error", (cause) => reject(upgradeError(call, cause)));
    socket.once("unexpected-response", (request, response) => {
      readText(response).then(
        (body) => {
          reject(refusal(response, call, body));
          request.destroy();
        },
        (cause: Error) => reject(upgradeError(call, cause)),
      );
    });
  });
}

/** Without `create` Kubernetes 1.35 says nothing but that it is forbidden. */
const forbiddenRemedy = "Grant get and create on pods/exec in the namespace of the pod";

function refusal(
  { statusCode = 0, headers }: IncomingMessage,
  call: string,
  body: string,
): KubeError {
  const error = errorOfStatus(statusCode, call, body, headers["retry-after"]);
  if (error.code !== "SLUICE_KUBE_FORBIDDEN") return error;
  const { reason, status } = error;
  return new KubeError(error.code, error.problem, {
    remedy: forbiddenRemedy,
    ...(status !== undefined && { status }),
    ...(reason !== undefined && { reason }),
  });
}

function upgradeError(call: string, cause: Error): KubeError {
  const isSilent = /handshake has timed out/i.test(cause.message);
  return isSilent
    ? new KubeError("SLUICE_KUBE_SILENT", `${call} was not answered in time`, { cause })
    : new KubeError("SLUICE_KUBE_UNREACHABLE", `${call} got no answer: ${cause.message}`, {
        cause,
      });
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > mostErrorBytes) break;
  }
  return Buffer.concat(chunks).toString("utf8");
}
