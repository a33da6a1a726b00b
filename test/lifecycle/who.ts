/** Servers that tell each client the address that it is seen with, and clients that ask them. */

import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";
import type { PeerCalls } from "./peer-calls.js";

/** On TCP and UDP. */
export async function serveWho(port: number): Promise<void> {
  const udp = createSocket({ type: "udp6", ipv6Only: false });
  udp.on("message", (_, { address, port: from }) => {
    udp.send(plain(address), from, address);
  });
  await new Promise<void>((resolve) => udp.bind(port, resolve));
  const tcp = createServer({ allowHalfOpen: true }, (socket) => {
    const chunks: Buffer[] = [];
    socket.on("data", (chunk) => void chunks.push(chunk));
    socket.on("error", () => undefined);
    socket.on("end", () =>
      socket.end(Buffer.concat([...chunks, Buffer.from(plain(socket.remoteAddress ?? ""))])),
    );
  });
  await new Promise<void>((resolve) => tcp.listen(port, resolve));
}

/** Without the form of an IPv4 address that IPv6 sockets have. */
function plain(address: string): string {
  return address.replace(/^::ffff:/, "");
}

type Asked = Omit<PeerCalls["askWho"]["request"], "protocol">;

/** Every byte has its place in what is sent, so nothing is lost or swapped when it comes back the same. */
export function whoByTcp({ to, port, bytes = 0, localPort, timeoutMs }: Asked): Promise<string> {
  const sent = Buffer.from(Uint8Array.from({ length: bytes }, (_, at) => at ^ (at >> 8)));
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const from = localPort === undefined ? {} : { localPort };
    const socket = connect({ host: to, port, ...from }, () => socket.end(sent));
    const end = (answer: string) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => end("silent"), timeoutMs);
    socket.on("data", (chunk) => void chunks.push(chunk));
    socket.on("error", ({ message }) => end(message));
    socket.on("end", () => {
      const all = Buffer.concat(chunks);
      const isSame = all.subarray(0, bytes).equals(sent);
      end(isSame ? all.subarray(bytes).toString() : `${all.length} bytes that were not sent`);
    });
  });
}

export function whoByUdp({ to, port, localPort, timeoutMs }: Asked): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket(to.includes(":") ? "udp6" : "udp4");
    const end = (answer: string) => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(() => end("silent"), timeoutMs);
    socket.on("error", ({ message }) => end(message));
    socket.on("message", (message) => end(message.toString()));
    /* Connected: an answer from another address does not count, and an error comes through. */
    socket.bind(localPort, () => socket.connect(port, to, () => socket.send("who")));
  });
}
