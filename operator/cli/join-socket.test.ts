import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, test } from "node:test";
import { joinSocket } from "./join-socket.js";

let folder: string;
let path: string;
let server: Server;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-join-"));
  path = join(folder, "agent.sock");
});
afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

async function listen(onSocket: (socket: Socket) => void): Promise<void> {
  server = createServer({ allowHalfOpen: true }, onSocket);
  await new Promise<void>((resolve) => server.listen(path, resolve));
}

function collect(stream: PassThrough): () => Buffer {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks);
}

test("bytes go both ways, and the end of input is passed on before the answer ends", async () => {
  await listen((socket) => {
    const heard: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => heard.push(chunk));
    socket.on("end", () => socket.end(Buffer.concat([Buffer.of(0xff, 0), ...heard])));
  });
  const input = new PassThrough();
  const output = new PassThrough();
  const written = collect(output);
  input.end(Buffer.of(1, 0xfe));
  await joinSocket(path, input, output);
  assert.deepEqual([...written()], [0xff, 0, 1, 0xfe]);
  assert.equal(output.writable, true);
});

test("it ends with the agent's side, though input stays open", async () => {
  await listen((socket) => void socket.end("bye"));
  const input = new PassThrough();
  const output = new PassThrough();
  const written = collect(output);
  await joinSocket(path, input, output);
  assert.equal(written().toString(), "bye");
  assert.equal(input.destroyed, true);
});

test("an agent that hangs is given up, though the end of the input is not seen behind what it does not read", async () => {
  const held: Socket[] = [];
  await listen((socket) => {
    socket.pause();
    held.push(socket);
  });
  const input = new PassThrough();
  // More than the socket's buffers hold.
  input.end(Buffer.alloc(4 << 20));
  const joined = joinSocket(path, input, new PassThrough(), 50);
  await assert.rejects(joined, /the agent was silent for 0.05 s/);
  for (const socket of held) socket.destroy();
});

test("an agent that has nothing to say for long is not given up", async () => {
  await listen((socket) => {
    socket.resume();
    setTimeout(() => socket.end("late"), 200);
  });
  const output = new PassThrough();
  const written = collect(output);
  await joinSocket(path, new PassThrough(), output, 50);
  assert.equal(written().toString(), "late");
});

test("a slow reader holds the agent back", async () => {
  const size = 8 << 20;
  let sender: Socket | undefined;
  await listen((socket) => {
    sender = socket;
    socket.end(Buffer.alloc(size, 7));
  });
  const output = new PassThrough();
  const joined = joinSocket(path, new PassThrough(), output);
  await once(server, "connection");
  await once(output, "readable");
  assert.ok((sender?.writableLength ?? 0) > size / 2);
  const written = collect(output);
  await joined;
  output.end();
  await once(output, "end");
  assert.equal(written().length, size);
});

test("an absent socket is an error", async () => {
  await listen(() => {});
  await assert.rejects(joinSocket(`${path}.not`, new PassThrough(), new PassThrough()), {
    code: "ENOENT",
  });
});
