import { Duplex } from "node:stream";
import { WebSocket } from "ws";
import { KubeError } from "./errors.js";

/** How a command in a pod ended. */
export interface ExecExit {
  /** Undefined when the kubelet could not start it, or knows no code. */
  readonly code: number | undefined;
  /** The kubelet's words; empty after code 0. */
  readonly message: string;
  /** End of what it wrote to standard error. */
  readonly stderr: string;
}

export interface ExecStreamOptions {
  readonly pingMs?: number;
  onStderr?(chunk: Buffer): void;
  errorOfExit?(exit: ExecExit): Error | undefined;
}

/** First byte of each message. */
const channels = { stdin: 0, stdout: 1, stderr: 2, status: 3 } as const;
const defaultPingMs = 30_000;
const mostStderrBytes = 4096;

/**
 * Standard input and output of a command in a pod, over one WebSocket of `v4.channel.k8s.io`:
 *
 * ```
 * message = channel byte, payload
 *   0 →  standard input          1 ←  standard output
 *   3 ←  Status object, at last  2 ←  standard error
 * ```
 */
export class ExecStream extends Duplex {
  readonly #socket: WebSocket;
  readonly #call: string;
  readonly #options: ExecStreamOptions;
  readonly #pinging: NodeJS.Timeout;
  #isAlive = true;
  #hasExited = false;
  #stderr = Buffer.alloc(0);

  /** @param call words for messages: what was asked of whom */
  constructor(socket: WebSocket, call: string, options: ExecStreamOptions) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#call = call;
    this.#options = options;
    socket.on("message", (data: Buffer) => this.#receive(data));
    socket.on("pong", () => (this.#isAlive = true));
    socket.on("error", (cause) => this.#cutOff(cause.message, cause));
    socket.on("close", (code) => this.#cutOff(`closed with code ${code}`));
    this.#pinging = setInterval(() => this.#ping(), options.pingMs ?? defaultPingMs);
    this.#pinging.unref();
  }

  override _read(): void {
    if (this.#socket.isPaused) this.#socket.resume();
  }

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    callback: (error?: Error | null) => void,
  ): void {
    const message = Buffer.allocUnsafe(chunk.length + 1);
    message[0] = channels.stdin;
    chunk.copy(message, 1);
    this.#socket.send(message, { binary: true }, callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#socket.close(1000);
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearInterval(this.#pinging);
    // A paused socket would never see the other side's close.
    this.#socket.resume();
    if (error === null) this.#socket.close(1000);
    else this.#socket.terminate();
    callback(error);
  }

  #receive(data: Buffer): void {
    const payload = data.subarray(1);
    switch (data[0]) {
      case channels.stdout:
        // The kubelet opens each channel with an empty message.
        if (payload.length > 0 && !this.push(payload)) this.#socket.pause();
        return;
      case channels.stderr:
        this.#options.onStderr?.(payload);
        this.#stderr = Buffer.concat([this.#stderr, payload]).subarray(-mostStderrBytes);
        return;
      case channels.status:
        if (payload.length > 0) this.#exit(payload.toString("utf8"));
        return;
      default:
    }
  }

  #exit(status: string): void {
    if (this.#hasExited) return;
    this.#hasExited = true;
    const exit = { ...readStatus(status), stderr: this.#stderr.toString("utf8").trim() };
    const error =
      this.#options.errorOfExit === undefined
        ? defaultError(this.#call, exit)
        : this.#options.errorOfExit(exit);
    if (error === undefined) this.push(null);
    else this.destroy(error);
  }

  #cutOff(why: string, cause?: Error): void {
    if (this.#hasExited || this.writableEnded) {
      this.destroy();
      return;
    }
    const problem = `${this.#call} was cut off: ${why}`;
    this.destroy(new KubeError("SLUICE_KUBE_UNREACHABLE", problem, { cause }));
  }

  #ping(): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    // While the reader is slow, its pongs wait, too.
    if (!this.#isAlive && !this.#socket.isPaused) {
      const problem = `${this.#call} answers no ping any more`;
      this.destroy(new KubeError("SLUICE_KUBE_SILENT", problem));
      return;
    }
    this.#isAlive = false;
    this.#socket.ping();
  }
}

function defaultError(call: string, { code, message, stderr }: ExecExit): Error | undefined {
  if (code === 0) return undefined;
  const how = code === undefined ? message : `its command ended with exit code ${code}`;
  return new KubeError(
    "SLUICE_KUBE_EXEC",
    `${call} failed: ${how}${stderr === "" ? "" : `: ${stderr}`}`,
  );
}

interface Status {
  readonly status?: string;
  readonly message?: string;
  readonly details?: {
    readonly causes?: readonly { readonly reason?: string; readonly message?: string }[];
  };
}

function readStatus(text: string): Pick<ExecExit, "code" | "message"> {
  let status: Status;
  try {
    status = JSON.parse(text) as Status;
  } catch {
    return { code: undefined, message: text.slice(0, 200) };
  }
  if (status.status === "Success") return { code: 0, message: "" };
  const told = status.details?.causes?.find(({ reason }) => reason === "ExitCode")?.message;
  const code = told !== undefined && /^\d+$/.test(told) ? Number(told) : undefined;
  return { code, message: status.message ?? "the kubelet gives no reason" };
}
