/** Sends and receives in a network namespace for a test; started by peer-process.ts, which it answers. */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { createServer as createHttpServer, get } from "node:http";
import { connect, createServer, type Server, type Socket } from "node:net";
import { netstat } from "../support/netstat.js";
import type { PeerCall, PeerCalls, PeerReply } from "./peer-calls.js";
import { serveWho, whoByTcp, whoByUdp } from "./who.js";

type Answers = {
  readonly [Name in PeerCall]: (
    request: PeerCalls[Name]["request"],
  ) => PeerCalls[Name]["answer"] | Promise<PeerCalls[Name]["answer"]>;
};

/** Datagrams of one stream that came, by number. */
const heard = new Map<string, Set<number>>();
const listeners = new Map<number, UdpSocket>();
const senders = new Map<string, Promise<UdpSocket>>();
const streams = new Map<string, { sent: number; readonly timer: NodeJS.Timeout }>();
const connections = new Map<string, { readonly socket: Socket; text: string }>();
const servers = new Map<number, Server>();
const held: Held[] = [];
const sunk = new Map<number, number>();
const pouring: Socket[] = [];
const requests = { sent: 0, succeeded: 0, failures: [] as string[] };
let browsing: NodeJS.Timeout | undefined;
let lastCaller = "";

const answers: Answers = {
  listen: ({ port }) =>
    new Promise((resolve) => {
      const socket = createSocket({ type: "udp6", ipv6Only: false });
      listeners.set(port, socket);
      count(socket);
      socket.bind(port, () => resolve(undefined));
    }),
  heard: ({ stream }) => heard.get(stream)?.size ?? 0,
  overflows: () => netstat("snmp", "Udp:", "RcvbufErrors"),
  async send({ from, to, port, stream, number }) {
    const socket = await senderOf(from);
    await new Promise((resolve) => socket.send(`${stream} ${number}`, port, to, resolve));
  },
  openUdp: ({ to, port }) =>
    new Promise((resolve) => {
      const socket = createSocket("udp4");
      count(socket);
      socket.connect(port, to, () => resolve(socket.address().port));
    }),
  async answer({ port, to, toPort, stream, number }) {
    const socket = listeners.get(port);
    // The listener is of both families, so an IPv4 address is written in its IPv6 form.
    await new Promise((resolve) =>
      socket?.send(`${stream} ${number}`, toPort, `::ffff:${to}`, resolve),
    );
  },
  async startStream({ stream, from, to, port, perSecond }) {
    const socket = await senderOf(from);
    const state = {
      sent: 0,
      timer: setInterval(() => {
        state.sent++;
        socket.send(`${stream} ${state.sent}`, port, to);
      }, 1000 / perSecond),
    };
    streams.set(stream, state);
  },
  endStream({ stream }) {
    const state = streams.get(stream);
    clearInterval(state?.timer);
    return state?.sent ?? 0;
  },
  serveHttp: ({ port }) =>
    new Promise((resolve) => {
      createHttpServer((_, response) => response.end("hello")).listen(port, () =>
        resolve(undefined),
      );
    }),
  browse({ url, perSecond }) {
    browsing = setInterval(() => request(url), 1000 / perSecond);
  },
  async endBrowsing() {
    clearInterval(browsing);
    const { sent } = requests;
    while (requests.succeeded + requests.failures.length < sent) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return { ...requests, synRetransmits: netstat("netstat", "TcpExt:", "TCPSynRetrans") };
  },
  serveTcp: ({ port }) =>
    new Promise((resolve) => {
      const server = createServer((socket) => {
        lastCaller = (socket.remoteAddress ?? "").replace("::ffff:", "");
        keep(`accepted ${socket.remotePort}`, socket);
      });
      servers.set(port, server);
      server.listen(port, () => resolve(undefined));
    }),
  endTcp: ({ port }) =>
    new Promise((resolve) => {
      servers.get(port)?.close(() => resolve(undefined));
    }),
  openTcp: ({ name, to, port }) =>
    new Promise((resolve, reject) => {
      const socket = connect({ host: to, port });
      socket.once("error", reject);
      socket.once("connect", () => {
        keep(name, socket);
        resolve(socket.localPort ?? 0);
      });
    }),
  tryTcp: ({ to, port, timeoutMs }) =>
    new Promise((resolve) => {
      const socket = connect({ host: to, port });
      const end = (outcome: "open" | "refused" | "silent") => {
        clearTimeout(timer);
        socket.destroy();
        resolve(outcome);
      };
      const timer = setTimeout(() => end("silent"), timeoutMs);
      socket.once("connect", () => end("open"));
      socket.on("error", () => end("refused"));
    }),
  serveWho: ({ port }) => serveWho(port),
  askWho: (asked) => (asked.protocol === "tcp" ? whoByTcp(asked) : whoByUdp(asked)),
  async tellTcp({ name, text }) {
    // The other end may know of a connection before this one has accepted it.
    for (let waited = 0; !connections.has(name) && waited < 5000; waited += 5) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    connections.get(name)?.socket.write(text);
  },
  lastCaller: () => {
    const caller = lastCaller;
    lastCaller = "";
    return caller;
  },
  heardTcp: ({ name }) => connections.get(name)?.text ?? "",
  echoTcp: ({ port }) => serve(port, (socket) => void socket.pipe(socket)),
  async holdTcp({ to, port, count }) {
    /* A server's queue of those that it has not accepted yet is not endless. */
    const atOnce = 100;
    for (let opened = 0; opened < count; opened += atOnce) {
      const wave = Array.from({ length: Math.min(atOnce, count - opened) }, () => hold(to, port));
      held.push(...(await Promise.all(wave)));
    }
  },
  async rollCall({ timeoutMs }) {
    const open = held.filter(({ isEnded }) => !isEnded);
    const answered = await Promise.all(open.map((one) => ask(one, timeoutMs)));
    const count = answered.filter(Boolean).length;
    const ended = held.filter(({ isEnded }) => isEnded).length;
    return { answered: count, silent: held.length - count - ended, ended };
  },
  sinkTcp({ port }) {
    sunk.set(port, 0);
    return serve(port, (socket) =>
      socket.on("data", ({ length }) => sunk.set(port, sunk.get(port)! + length)),
    );
  },
  sunkTcp: ({ port }) => ({ bytes: sunk.get(port) ?? 0, atMs: performance.now() }),
  pourTcp({ to, port, flows }) {
    const chunk = Buffer.alloc(65_536);
    for (let flow = 0; flow < flows; flow++) {
      const socket = connect({ host: to, port });
      const fill = () => {
        while (socket.write(chunk));
      };
      socket.on("connect", fill);
      socket.on("drain", fill);
      socket.on("error", () => undefined);
      pouring.push(socket);
    }
  },
  endPouring() {
    for (const socket of pouring.splice(0)) socket.destroy();
  },
};

/** A connection whose other end sends back what comes. */
interface Held {
  readonly socket: Socket;
  isEnded: boolean;
  asked: number;
  /** Called with what came. */
  onAnswer: ((text: string) => void) | undefined;
}

function hold(to: string, port: number): Promise<Held> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: to, port, noDelay: true });
    const one: Held = { socket, isEnded: false, asked: 0, onAnswer: undefined };
    socket.once("connect", () => resolve(one));
    socket.once("error", reject);
    socket.on("close", () => void (one.isEnded = true));
    socket.on("data", (data) => one.onAnswer?.(data.toString()));
  });
}

/** @returns whether the answer came in time */
function ask(one: Held, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const question = `${++one.asked};`;
    let came = "";
    const timer = setTimeout(() => resolve(false), timeoutMs);
    one.onAnswer = (text) => {
      came += text;
      if (!came.endsWith(question)) return;
      clearTimeout(timer);
      resolve(true);
    };
    one.socket.write(question);
  });
}

function serve(port: number, take: (socket: Socket) => void): Promise<void> {
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      take(socket);
    });
    server.listen({ port, backlog: 4096 }, () => resolve());
  });
}

function count(socket: UdpSocket): void {
  socket.on("message", (message) => {
    const [name = "", number] = message.toString().split(" ");
    let numbers = heard.get(name);
    if (numbers === undefined) heard.set(name, (numbers = new Set()));
    numbers.add(Number(number));
  });
  // A refused datagram would otherwise end the process.
  socket.on("error", () => undefined);
}

function senderOf(from: string): Promise<UdpSocket> {
  let sender = senders.get(from);
  if (sender === undefined) {
    sender = new Promise((resolve) => {
      const socket = createSocket(from.includes(":") ? "udp6" : "udp4");
      count(socket);
      socket.bind(0, from, () => resolve(socket));
    });
    senders.set(from, sender);
  }
  return sender;
}

function keep(name: string, socket: Socket): void {
  const connection = { socket, text: "" };
  connections.set(name, connection);
  socket.on("data", (data) => void (connection.text += data.toString()));
  socket.on("error", () => undefined);
}

/** A new connection each, so that every packet of a handshake has to pass. */
function request(url: string): void {
  requests.sent++;
  const fail = (error: Error) => requests.failures.push(error.message);
  const signal = AbortSignal.timeout(5000);
  const sent = get(url, { agent: false, signal }, (response) => {
    response.resume();
    response.on("error", fail);
    response.on("end", () => requests.succeeded++);
  });
  sent.on("error", fail);
}

process.on("message", (message) => {
  const { id, call, request: asked } = message as { id: number; call: PeerCall; request: never };
  const send = (reply: PeerReply) => process.send?.(reply);
  Promise.resolve()
    .then(() => answers[call](asked))
    .then(
      (answer) => send({ id, answer }),
      (error: unknown) =>
        send({ id, error: error instanceof Error ? error.message : String(error) }),
    );
});
process.on("disconnect", () => process.exit(0));
