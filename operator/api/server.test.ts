import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once, setMaxListeners } from "node:events";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, request as httpRequest } from "node:http";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { afterEach, beforeEach, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { createFixtureEngine, event, rules } from "../../test/agent/fixture-engine.js";
import { SluiceError } from "../errors.js";
import { createClient } from "./client.js";
import type { Engine } from "./engine.js";
import type { EventLine, LogLevel } from "./requests.js";
import { type ApiServer, startApiServer } from "./server.js";

let folder: string;
let socketPath: string;
let open: ApiServer[];
let logged: string[];
let level: LogLevel;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-api-"));
  socketPath = join(folder, "run", "agent.sock");
  open = [];
  logged = [];
  level = "info";
});

afterEach(async () => {
  for (const server of open) await server.close();
  rmSync(folder, { recursive: true, force: true });
});

async function serve(engine: Engine = createFixtureEngine(), path = socketPath) {
  const server = await startApiServer({
    engine,
    socketPath: path,
    log: { debug: () => {}, error: (_, message) => void logged.push(message) },
    logLevel: {
      get: () => level,
      set: (next) => {
        level = next;
      },
    },
  });
  open.push(server);
  return createClient(path, 5000);
}

/** What the server answers to words that no client of ours would say. */
async function raw(method: string, path: string, body?: string) {
  const sent = httpRequest({ socketPath, method, path, agent: false });
  sent.end(body);
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  // Node writes an empty rest of a large body when the answer is already there and the peer is gone.
  sent.on("error", () => {});
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode, body: JSON.parse(text) as Record<string, unknown> };
}

function isError(code: string, message = /./) {
  return (error: unknown) =>
    error instanceof SluiceError && error.code === code && message.test(error.message);
}

test("the socket and its new folder are for the agent's user only", async () => {
  await serve();
  assert.equal(statSync(socketPath).mode & 0o777, 0o600);
  assert.equal(statSync(join(folder, "run")).mode & 0o777, 0o700);
});

test("every call reaches the engine and its answer comes back", async () => {
  const engine = createFixtureEngine();
  const client = await serve(engine);
  const status = await client.call("status");
  assert.equal(status.node, "node1");
  assert.equal(status.pid, process.pid);
  assert.equal(status.eventsLost, 9);
  assert.deepEqual(status.reasons, { rule: { packets: 42, bytes: 2520 } });
  assert.deepEqual(await client.call("rules"), rules);
  assert.equal((await client.call("sets"))[0]?.name, "spamhaus");
  assert.equal((await client.call("protocols")).length, 5);
  assert.deepEqual(await client.call("block", { cidr: "192.0.2.7" }), { cidr: "192.0.2.7" });
  assert.deepEqual(await client.call("block", { cidr: "192.0.2.8", forMs: 600_000 }), {
    cidr: "192.0.2.8",
    until: "2026-01-01T00:10:00.000Z",
  });
  assert.equal((await client.call("blocked")).length, 2);
  assert.deepEqual(await client.call("unblock", { cidr: "192.0.2.7" }), { unblocked: true });
  assert.deepEqual(await client.call("unblock", { cidr: "192.0.2.7" }), { unblocked: false });
  assert.deepEqual(await client.call("confirm", { policy: "edge" }), { confirmed: "edge" });
  const frame = Buffer.alloc(60, 7);
  const request = { frame: frame.toString("base64"), interface: "eth0" };
  assert.equal((await client.call("trace", request)).verdict, "drop");
  assert.deepEqual(engine.calls, [
    ["block", "192.0.2.7", undefined],
    ["block", "192.0.2.8", 600_000],
    ["confirm", "edge"],
    ["trace", frame.toString("hex"), "eth0"],
  ]);
});

test("the log level changes while the agent runs", async () => {
  const client = await serve();
  assert.deepEqual(await client.call("logLevel", { level: "debug" }), { level: "debug" });
  assert.equal((await client.call("status")).logLevel, "debug");
});

test("an error of the engine arrives with its code, problem and remedy", async () => {
  const client = await serve();
  await assert.rejects(client.call("block", { cidr: "10.0.0.1/8" }), (error: unknown) => {
    assert.ok(error instanceof SluiceError);
    assert.equal(error.code, "SLUICE_CIDR");
    assert.equal(error.problem, "10.0.0.1/8 has host bits");
    assert.equal(error.remedy, "Write 10.0.0.0/8");
    return true;
  });
  assert.deepEqual(logged, []);
});

test("a fault of the agent is answered as such, and logged", async () => {
  const client = await serve(
    createFixtureEngine({
      rules: () => {
        throw new TypeError("x is undefined");
      },
    }),
  );
  await assert.rejects(client.call("rules"), isError("SLUICE_INTERNAL", /x is undefined/));
  assert.deepEqual(logged, ["a request failed"]);
});

const refused: readonly (readonly [
  method: string,
  path: string,
  body: string | undefined,
  status: number,
  message: RegExp,
])[] = [
  ["GET", "/v1/nothing", undefined, 404, /knows no GET \/v1\/nothing/],
  ["GET", "/v1/block", undefined, 405, /knows no GET/],
  ["DELETE", "/v1/events", undefined, 405, /knows no DELETE/],
  ["POST", "/v1/block", "{", 400, /not JSON/],
  ["POST", "/v1/block", "[]", 400, /not a JSON object/],
  ["POST", "/v1/block", "{}", 400, /cidr is not a text/],
  ["POST", "/v1/block", '{"cidr":""}', 400, /cidr is not a text/],
  ["POST", "/v1/block", '{"cidr":"10.0.0.0/8","for":1}', 400, /field "for"; known: cidr, forMs/],
  ["POST", "/v1/block", '{"cidr":"10.0.0.0/8","forMs":0.5}', 400, /forMs is not a number/],
  ["POST", "/v1/block", '{"cidr":"10.0.0.0/8","forMs":-1}', 400, /forMs is not a number/],
  ["POST", "/v1/trace", '{"frame":"!","interface":"eth0"}', 400, /not base64/],
  ["POST", "/v1/trace", '{"frame":"AAAA","interface":"eth0"}', 400, /frame has 3 bytes/],
  ["POST", "/v1/locate", "{}", 400, /either pod or address/],
  ["POST", "/v1/locate", '{"pod":"web/a","address":"10.0.0.1"}', 400, /either pod or address/],
  ["POST", "/v1/locate", '{"pod":7}', 400, /pod is not a text/],
  ["POST", "/v1/trace-pod", '{"pod":"web/a"}', 400, /direction is none of egress, ingress/],
  [
    "POST",
    "/v1/trace-pod",
    '{"pod":"web/a","direction":"egress","frame":"!"}',
    400,
    /frame is not base64/,
  ],
  [
    "POST",
    "/v1/trace-pod",
    `{"pod":"web/a","direction":"egress","flow":"all","frame":"${"A".repeat(20)}"}`,
    400,
    /flow is none of exact, newest/,
  ],
  ["POST", "/v1/log-level", '{"level":"loud"}', 400, /level is none of trace, debug/],
  ["POST", "/v1/block", `{"cidr":"${"1".repeat(300_000)}"}`, 413, /more than 262144 bytes/],
];

for (const [method, path, body, code, message] of refused) {
  test(`${method} ${path} ${body?.slice(0, 40) ?? ""} is refused with ${code}`, async () => {
    const client = await serve();
    const answer = await raw(method, path, body);
    assert.equal(answer.status, code);
    assert.match(String(answer.body["message"]), message);
    assert.match(String(answer.body["code"]), /^SLUICE_API_/);
    assert.ok(String(answer.body["remedy"]).length > 0);
    assert.equal((await client.call("status")).node, "node1");
  });
}

test("a second agent on the socket is refused, and the first one goes on", async () => {
  const client = await serve();
  await assert.rejects(serve(), isError("SLUICE_AGENT_RUNNING", /another agent answers there/));
  assert.equal((await client.call("status")).node, "node1");
});

test("the socket that a killed agent left is replaced", async () => {
  const path = join(folder, "stale.sock");
  const script = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => console.log("up"))`;
  const killed = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  await once(killed.stdout, "data");
  killed.kill("SIGKILL");
  await once(killed, "exit");
  assert.ok(statSync(path).isSocket());
  const client = await serve(createFixtureEngine(), path);
  assert.equal((await client.call("status")).node, "node1");
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test("a file that is no socket is left alone", async () => {
  const path = join(folder, "precious");
  writeFileSync(path, "data");
  await assert.rejects(
    serve(createFixtureEngine(), path),
    isError("SLUICE_SOCKET_PATH", /it is no socket/),
  );
  assert.equal(statSync(path).size, 4);
});

test("a path that is too long for a socket is refused before it is cut", async () => {
  const path = join(folder, "x".repeat(120));
  await assert.rejects(
    serve(createFixtureEngine(), path),
    isError("SLUICE_SOCKET_PATH", /at most 107 bytes/),
  );
});

test("closing removes the socket and ends idle connections", async () => {
  await serve();
  const idle = createConnection(socketPath);
  await once(idle, "connect");
  await open.pop()?.close();
  assert.equal(statSync(socketPath, { throwIfNoEntry: false }), undefined);
  if (!idle.closed) await once(idle, "close");
});

test("an agent that is not there, was killed, or is none is told apart", async () => {
  const absent = createClient(join(folder, "absent"));
  await assert.rejects(
    absent.call("status"),
    isError("SLUICE_AGENT_UNREACHABLE", /there is no such socket/),
  );
  const path = join(folder, "other.sock");
  const other = createServer((_, response) => void response.end("hello"));
  await new Promise<void>((resolve) => void other.listen(path, resolve));
  await assert.rejects(
    createClient(path).call("status"),
    isError("SLUICE_AGENT_UNREACHABLE", /is no sluice-agent/),
  );
  other.close();
});

test("an agent that does not answer in time is an error", async () => {
  await serve(createFixtureEngine({ confirm: () => new Promise(() => {}) }));
  const client = createClient(socketPath, 50);
  await assert.rejects(client.call("confirm", { policy: "edge" }), isError("SLUICE_AGENT_SILENT"));
});

async function nextLine(lines: AsyncIterator<EventLine>): Promise<EventLine> {
  const next = await lines.next();
  assert.equal(next.done, false);
  return next.value;
}

test("events are streamed in order, and asked for only while somebody reads", async () => {
  const engine = createFixtureEngine();
  const client = await serve(engine);
  assert.equal(engine.listeners.size, 0);
  const stop = new AbortController();
  const lines = client.events(stop.signal)[Symbol.asyncIterator]();
  const first = nextLine(lines);
  while (engine.listeners.size === 0) await turn();
  engine.emit(event);
  engine.emit({ ...event, rule: "next" });
  assert.deepEqual(await first, { event });
  assert.deepEqual(await nextLine(lines), { event: { ...event, rule: "next" } });
  stop.abort();
  assert.deepEqual(await lines.next(), { done: true, value: undefined });
  while (engine.listeners.size > 0) await turn();
});

test("two readers share one listener and both get every event", async () => {
  const engine = createFixtureEngine();
  const client = await serve(engine);
  const stop = new AbortController();
  const readers = [client.events(stop.signal), client.events(stop.signal)].map((lines) =>
    lines[Symbol.asyncIterator](),
  );
  const firsts = readers.map((lines) => nextLine(lines));
  while (engine.listeners.size === 0) await turn();
  // The second one may not be connected yet.
  const sending = setInterval(() => engine.emit(event), 5);
  assert.deepEqual(await Promise.all(firsts), [{ event }, { event }]);
  clearInterval(sending);
  assert.equal(engine.listeners.size, 1);
  stop.abort();
  for (const lines of readers) await lines.return?.();
});

test("a reader that is too slow is told how many events it lost", async () => {
  const engine = createFixtureEngine();
  await serve(engine);
  const sent = httpRequest({ socketPath, path: "/v1/events", agent: false });
  sent.end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  while (engine.listeners.size === 0) await turn();
  const count = 20_000;
  for (let i = 0; i < count; i++) engine.emit({ ...event, length: i });
  let text = "";
  let got = 0;
  let lost = 0;
  for await (const chunk of response) {
    const parts = (text + String(chunk)).split("\n");
    text = parts.pop() ?? "";
    for (const part of parts) {
      const line = JSON.parse(part) as EventLine;
      if ("event" in line) got++;
      else if ("lost" in line) lost += line.lost;
    }
    if (got + lost === count) break;
  }
  assert.ok(lost > 0, "nothing was lost");
  assert.equal(got + lost, count);
});

test("when the agent ends, readers are told so", async () => {
  const engine = createFixtureEngine();
  const client = await serve(engine);
  const lines = client.events()[Symbol.asyncIterator]();
  const first = nextLine(lines);
  while (engine.listeners.size === 0) await turn();
  await open.pop()?.close();
  assert.deepEqual(await first, { end: "the agent ends" });
  assert.deepEqual(await lines.next(), { done: true, value: undefined });
});

test("one reader too many is refused with the reason", async () => {
  const engine = createFixtureEngine();
  const client = await serve(engine);
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  const streams = Array.from({ length: 16 }, () =>
    client.events(stop.signal)[Symbol.asyncIterator](),
  );
  const firsts = streams.map((lines) => lines.next());
  const sending = setInterval(() => engine.emit(event), 5);
  await Promise.all(firsts);
  clearInterval(sending);
  await assert.rejects(
    client.events()[Symbol.asyncIterator]().next(),
    isError("SLUICE_API_BUSY", /16 readers/),
  );
  stop.abort();
  for (const lines of streams) await lines.return?.();
});

/** Streams to a socket, which a test can count and cut. */
function transportTo(path: string) {
  const streams: Duplex[] = [];
  return {
    streams,
    where: "on node1 (pod a/b)",
    remedy: "Look at its pod",
    connect: async () => {
      const socket = createConnection(path);
      await once(socket, "connect");
      // An http.Agent must not need more than a stream.
      const { readable, writable } = Duplex.toWeb(socket);
      const stream = Duplex.fromWeb({ readable, writable });
      streams.push(stream);
      return stream;
    },
  };
}

test("calls over a transport share one stream, while an event stream has its own", async () => {
  const engine = createFixtureEngine();
  await serve(engine);
  const transport = transportTo(socketPath);
  const client = createClient(transport, 5000);
  for (let n = 0; n < 3; n++) assert.equal((await client.call("status")).node, "node1");
  assert.deepEqual(await client.call("unblock", { cidr: "192.0.2.7" }), { unblocked: false });
  assert.equal(transport.streams.length, 1);
  const stop = new AbortController();
  const lines = client.events(stop.signal)[Symbol.asyncIterator]();
  const first = nextLine(lines);
  while (engine.listeners.size === 0) await turn();
  engine.emit(event);
  assert.deepEqual(await first, { event });
  assert.equal((await client.call("status")).node, "node1");
  assert.equal(transport.streams.length, 2);
  stop.abort();
  assert.deepEqual(await lines.next(), { done: true, value: undefined });
  client.close();
  while (engine.listeners.size > 0) await turn();
  for (const stream of transport.streams) if (!stream.closed) await once(stream, "close");
});

test("a kept stream that has ended is replaced", async () => {
  await serve();
  const transport = transportTo(socketPath);
  const client = createClient(transport, 5000);
  await client.call("status");
  transport.streams[0]?.destroy();
  assert.equal((await client.call("status")).node, "node1");
  assert.equal(transport.streams.length, 2);
  client.close();
});

test("a transport that fails or never connects is told by its own words, in time", async () => {
  const place = { where: "on node1 (pod a/b)", remedy: "Look at its pod" };
  const known = new SluiceError("SLUICE_KUBE_FORBIDDEN", "you may not", { remedy: "Ask" });
  const refusing = createClient({ ...place, connect: () => Promise.reject(known) });
  await assert.rejects(refusing.call("status"), (error: unknown) => error === known);
  const broken = createClient({ ...place, connect: () => Promise.reject(new Error("broken")) });
  await assert.rejects(
    broken.call("status"),
    isError(
      "SLUICE_AGENT_UNREACHABLE",
      /^cannot reach the agent on node1 \(pod a\/b\): broken\. Look at its pod$/,
    ),
  );
  // As a socket that connects, it keeps the process.
  const connecting = setInterval(() => {}, 1000);
  const silent = createClient({ ...place, connect: () => new Promise(() => {}) }, 50);
  await assert
    .rejects(
      silent.call("status"),
      isError("SLUICE_AGENT_SILENT", /on node1 \(pod a\/b\): no answer in time/),
    )
    .finally(() => clearInterval(connecting));
});
