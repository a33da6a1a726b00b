import { readFileSync } from "node:fs";
import { hrtime } from "node:process";
import type { Connection, ConnectionKey } from "../../datapath/generated/layout.js";
import type { Datapath } from "./datapath.js";

/** Protocol numbers, and lifetimes of docs/xdp-policy.md §8. */
const TCP = { files: ["tcp", "tcp6"], protocol: 6, lifetimeS: 3600 };
const UDP = { files: ["udp", "udp6"], protocol: 17, lifetimeS: 120 };
const CLOSING_LIFETIME_S = 60;
const NS_PER_S = 1_000_000_000n;

/** Socket states as /proc/net prints them, from <net/tcp_states.h>; a connected UDP socket is "established". */
const LISTEN = "0A";
const OPEN = new Set(["01", "02", "08"]);
/** The node has sent its FIN. */
const CLOSING = new Set(["04", "05", "09", "0B"]);

/** Third word of ::ffff:0:0/96 as /proc/net prints it, in network order as it lies in memory. */
const MAPPED_WORD = 0xffff0000;

/**
 * Remembers the connections that the node's sockets opened before anything watched what leaves. Those of ports that a
 * socket listens on were opened from outside: rules decide about them.
 *
 * @returns how many there are
 */
export function seedConnections(datapath: Pick<Datapath, "connections">): number {
  const nowNs = hrtime.bigint();
  const entries = [TCP, UDP].flatMap(({ files, protocol, lifetimeS }) =>
    openedSockets(files.flatMap(readSockets)).map(
      ({ local, remote, state }): readonly [ConnectionKey, Connection] => [
        {
          family: local.family,
          protocol,
          local: local.words,
          remote: remote.words,
          localPort: local.port,
          remotePort: remote.port,
        },
        {
          lastOutNs: nowNs,
          lifetimeNs: BigInt(CLOSING.has(state) ? CLOSING_LIFETIME_S : lifetimeS) * NS_PER_S,
        },
      ],
    ),
  );
  return datapath.connections.updateAll(entries);
}

interface Endpoint {
  readonly family: 4 | 6;
  /** In network order; IPv4 in the first. */
  readonly words: readonly number[];
  readonly port: number;
}

/** A line of /proc/net/tcp and its like. */
export interface Socket {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** Two hexadecimal digits. */
  readonly state: string;
}

/** Sockets with a peer whose local port no other listens on. */
export function openedSockets(sockets: readonly Socket[]): readonly Socket[] {
  const served = new Set(
    sockets.filter(({ state }) => state === LISTEN).map(({ local }) => local.port),
  );
  return sockets.filter(
    ({ local, state }) => (OPEN.has(state) || CLOSING.has(state)) && !served.has(local.port),
  );
}

/** @param text of /proc/net/tcp, tcp6, udp or udp6: proc_net_tcp.rst of the kernel's documentation */
export function parseSockets(text: string): readonly Socket[] {
  const lines = text.split("\n").slice(1);
  return lines.flatMap((line) => {
    const [, local, remote, state] = line.trim().split(/\s+/);
    if (local === undefined || remote === undefined || state === undefined) return [];
    return [{ local: parseEndpoint(local), remote: parseEndpoint(remote), state }];
  });
}

function readSockets(file: string): readonly Socket[] {
  let text: string;
  try {
    text = readFileSync(`/proc/thread-self/net/${file}`, "utf8");
  } catch (error) {
    /* A kernel without IPv6 has no tcp6. */
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
  return parseSockets(text);
}

/** `0100007F:1F90`: words of the address as they lie in memory, and the port as a number. */
function parseEndpoint(text: string): Endpoint {
  const [address = "", port = ""] = text.split(":");
  const words = [0, 8, 16, 24].map((at) => Number.parseInt(address.slice(at, at + 8) || "0", 16));
  const [first, second, third, fourth = 0] = words;
  const isMapped = address.length === 32 && first === 0 && second === 0 && third === MAPPED_WORD;
  return {
    family: address.length === 8 || isMapped ? 4 : 6,
    words: isMapped ? [fourth, 0, 0, 0] : words,
    port: Number.parseInt(port, 16),
  };
}
