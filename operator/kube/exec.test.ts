import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type WebSocket, WebSocketServer } from "ws";
import { type Certificates, createCertificates } from "../../test/support/cluster/certificates.js";
import type { KubeConnection } from "./connection.js";
import { KubeError } from "./errors.js";
import { type ExecOptions, execProtocol, openExec } from "./exec.js";
import type { ExecExit } from "./exec-stream.js";

let folder: string;
let certificates: Certificates;
let server: Server;
let sockets: WebSocketServer;
/** What the server does with an upgrade. */
let onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
let requests: IncomingMessage[];
let connection: KubeConnection;
let token: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-exec-"));
  certificates = createCertificates(folder);
});
after(() => rmSync(folder, { recursive: true, force: true }));

beforeEach(async () => {
  requests = [];
  token = "one";
  const { certificate, key } = certificates.serving;
  server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) });
  sockets = new WebSocketServer({ noServer: true, handleProtocols: () => execProtocol });
  server.on("upgrade", (request: IncomingMessage, socket, head) => {
    requests.push(request);
    onUpgrade(request, socket, head);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  connection = {
    servers: [`https://127.0.0.1:${(server.address() as AddressInfo).port}`],
    namespace: "default",
    tls: async () => ({ ca: readFileSync(certificates.ca.certificate) }),
    credentials: async (isRefused) => {
      if (isRefused) token = "two";
      return { headers: { authorization: `Bearer ${token}` } };
    },
  };
});
afterEach(async () => {
  for (const socket of sockets.clients) socket.terminate();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** Upgrades, and hands over the server's side. */
function serve(run: (socket: WebSocket) => void): void {
  onUpgrade = (request, socket, head) => sockets.handleUpgrade(request, socket, head, run);
}

function refuse(status: string, body: string): void {
  onUpgrade = (_request, socket) =>
    socket.end(`HTTP/1.1 ${status}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
}

const frame = (channel: number, payload: Uint8Array | string) =>
  Buffer.concat([Buffer.of(channel), Buffer.from(payload)]);
const success = JSON.stringify({ status: "Success" });
const failure = (code: number) =>
  JSON.stringify({
    status: "Failure",
    message: `exit status ${code}`,
    reason: "NonZeroExitCode",
    details: { causes: [{ reason: "ExitCode", message: String(code) }] },
  });

function open(options: Partial<ExecOptions> = {}, hasInput = true): Promise<Duplex> {
  const target = { namespace: "ns", pod: "p-1", container: "agent", command: ["a", "b c&d"] };
  return openExec(connection, { ...target, hasInput }, { userAgent: "test/1", ...options });
}

async function text(stream: Duplex): Promise<string> {
  let all = "";
  for await (const chunk of stream) all += String(chunk);
  return all;
}

function isError(code: string, problem: RegExp, status?: number) {
  return (error: unknown) => {
    assert.ok(error instanceof KubeError);
    assert.equal(error.code, code);
    assert.match(error.problem, problem);
    if (status !== undefined) assert.equal(error.status, status);
    return true;
  };
}

test("the request names pod, container and each word of the command", async () => {
  serve((socket) => socket.send(frame(3, success)));
  assert.equal(await text(await open()), "");
  const [request] = requests;
  const url = new URL(request?.url ?? "", "https://x");
  assert.equal(url.pathname, "/api/v1/namespaces/ns/pods/p-1/exec");
  assert.deepEqual(
    [...url.searchParams].map((pair) => pair.join("=")),
    ["command=a", "command=b c&d", "container=agent", "stdin=true", "stdout=true", "stderr=true"],
  );
  assert.equal(request?.headers["sec-websocket-protocol"], "v4.channel.k8s.io");
  assert.equal(request?.headers["user-agent"], "test/1");
});

test("input goes to channel 0, channel 1 is output, and both stay in order", async () => {
  serve((socket) => {
    for (const channel of [1, 2, 3]) socket.send(frame(channel, ""));
    let seen = "";
    socket.on("message", (data: Buffer) => {
      assert.equal(data[0], 0);
      seen += data.subarray(1).toString();
      if (seen !== "hello world") return;
      socket.send(frame(1, "got "));
      socket.send(frame(1, seen));
      socket.send(frame(3, success));
      socket.close();
    });
  });
  const stream = await open();
  stream.write("hello ");
  stream.write("world");
  assert.equal(await text(stream), "got hello world");
});

test("output that nobody reads is held back at the sender, and then comes whole", async () => {
  const size = 64 * 1024;
  const count = 400;
  let sender: WebSocket | undefined;
  serve((socket) => {
    sender = socket;
    for (let n = 0; n < count; n++) socket.send(frame(1, Buffer.alloc(size, n)));
    socket.send(frame(3, success));
    socket.close();
  });
  const stream = await open();
  let last = -1;
  // Until nothing moves: the kernel's buffers are full.
  for (let same = 0; same < 50; ) {
    await turn();
    await new Promise((resolve) => setTimeout(resolve, 2));
    const now = sender?.bufferedAmount ?? 0;
    same = now === last ? same + 1 : 0;
    last = now;
  }
  assert.ok(last > (size * count) / 4, `only ${last} bytes are held back`);
  assert.ok(stream.readableLength < 4 * size);
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) bytes += chunk.length;
  assert.equal(bytes, size * count);
});

test("a command that fails is an error with its exit code and what it wrote", async () => {
  serve((socket) => {
    socket.send(frame(2, "error: no such "));
    socket.send(frame(2, "socket\n"));
    socket.send(frame(3, failure(3)));
  });
  await assert.rejects(
    open().then(text),
    isError("SLUICE_KUBE_EXEC", /pod ns\/p-1 .*exit code 3: error: no such socket$/),
  );
});

test("what the command wrote to standard error is kept up to a bound", async () => {
  const exits: ExecExit[] = [];
  let told = 0;
  serve((socket) => {
    for (let n = 0; n < 100; n++) socket.send(frame(2, "x".repeat(1000)));
    socket.send(frame(2, "the end"));
    socket.send(frame(3, failure(7)));
  });
  const stream = await open({
    onStderr: (chunk) => void (told += chunk.length),
    errorOfExit: (exit) => void exits.push(exit),
  });
  assert.equal(await text(stream), "");
  assert.equal(exits[0]?.code, 7);
  assert.equal(exits[0]?.stderr.length, 4096);
  assert.match(exits[0]?.stderr ?? "", /the end$/);
  assert.equal(told, 100_007);
});

test("a command that cannot be started is an error with the kubelet's words", async () => {
  const message = 'exec: "node": executable file not found in $PATH';
  serve((socket) =>
    socket.send(frame(3, JSON.stringify({ status: "Failure", reason: "InternalError", message }))),
  );
  await assert.rejects(open().then(text), isError("SLUICE_KUBE_EXEC", /executable file not found/));
});

test("a connection that ends before the command did is an error", async () => {
  serve((socket) => {
    socket.send(frame(1, "half"));
    setImmediate(() => socket.terminate());
  });
  await assert.rejects(open().then(text), isError("SLUICE_KUBE_UNREACHABLE", /was cut off/));
});

test("destroying the stream closes the connection", async () => {
  const closed = new Promise((resolve) => {
    serve((socket) => void socket.on("close", resolve));
  });
  const stream = await open();
  stream.destroy();
  await closed;
});

test("a connection that answers no ping is given up", async () => {
  onUpgrade = (request, socket, head) =>
    new WebSocketServer({
      noServer: true,
      autoPong: false,
      handleProtocols: () => execProtocol,
    }).handleUpgrade(request, socket, head, () => {});
  await assert.rejects(
    open({ pingMs: 20 }).then(text),
    isError("SLUICE_KUBE_SILENT", /answers no ping/),
  );
});

test("a connection that answers pings stays", async () => {
  let pings = 0;
  serve((socket) =>
    socket.on("ping", () => {
      if (++pings === 5) socket.send(frame(3, success));
    }),
  );
  assert.equal(await text(await open({ pingMs: 20 })), "");
});

for (const [status, code] of [
  ["403 Forbidden", "SLUICE_KUBE_FORBIDDEN"],
  ["404 Not Found", "SLUICE_KUBE_NOT_FOUND"],
  ["500 Internal Server Error", "SLUICE_KUBE_FAILED"],
] as const) {
  test(`an upgrade answered with ${status} is an error with the words of its Status`, async () => {
    refuse(status, JSON.stringify({ kind: "Status", message: "these words", reason: "Why" }));
    await assert.rejects(open(), isError(code, /these words/, Number.parseInt(status, 10)));
    assert.equal(requests.length, 1);
  });
}

test("after 401 new credentials are tried, once", async () => {
  refuse("401 Unauthorized", "Unauthorized");
  await assert.rejects(open(), isError("SLUICE_KUBE_UNAUTHORIZED", /Unauthorized/, 401));
  assert.deepEqual(
    requests.map(({ headers }) => headers.authorization),
    ["Bearer one", "Bearer two"],
  );
});

test("a server of another CA, one that is silent, and one that is not there are told apart", async () => {
  const trusting = connection;
  connection = { ...trusting, tls: async () => ({}) };
  await assert.rejects(open(), isError("SLUICE_KUBE_UNREACHABLE", /certificate/));
  connection = trusting;
  onUpgrade = () => {};
  await assert.rejects(
    open({ timeoutMs: 50 }),
    isError("SLUICE_KUBE_SILENT", /not answered in time/),
  );
  connection = { ...connection, servers: ["https://127.0.0.1:1"] };
  await assert.rejects(open(), isError("SLUICE_KUBE_UNREACHABLE", /ECONNREFUSED/));
});

test("when a server cannot be reached, the next one is asked", async () => {
  serve((socket) => socket.send(frame(3, success)));
  connection = { ...connection, servers: ["https://127.0.0.1:1", ...connection.servers] };
  assert.equal(await text(await open()), "");
});
