import { closeSync } from "node:fs";
import koffi from "koffi";
import type { IfIndex } from "./handles.js";
import type { NetworkInterface } from "./netlink.js";
import { parseInterface, RouteMessage } from "./netlink.js";
import type { NetlinkMessage } from "./netlink-message.js";
import { enlargeReceiveBuffer, openNetlink, receive } from "./netlink-socket.js";

/** `RTMGRP_…` bits. */
const Group = {
  link: 0x1,
  neighbour: 0x4,
  address4: 0x10,
  route4: 0x40,
  address6: 0x100,
  route6: 0x400,
  rule4: 0x80,
  rule6: 0x40000,
} as const;

/** Room for what happens while the event loop is busy: 10,000 routes and more. */
const receiveBufferBytes = 4 << 20;

/** What happened to the interfaces of a network namespace. */
export type InterfaceEvent =
  | { readonly type: "changed"; readonly interface: NetworkInterface }
  | { readonly type: "removed"; readonly interface: NetworkInterface }
  /** The kernel threw events away: list the interfaces again. */
  | { readonly type: "overrun" };

export interface InterfaceWatch {
  close(): void;
}

/**
 * Tells of every interface that appears, changes or goes. The network namespace is that of the
 * thread at the call, and stays. Call it before listing, so that nothing is missed between.
 *
 * @param onEvent must not throw
 * @throws SluiceError SLUICE_NETLINK_FAILED
 */
export function watchInterfaces(onEvent: (event: InterfaceEvent) => void): InterfaceWatch {
  return watch(Group.link, (message) => {
    if (message === undefined) {
      onEvent({ type: "overrun" });
      return;
    }
    const { type, payload } = message;
    if (type === RouteMessage.newLink) {
      onEvent({ type: "changed", interface: parseInterface(payload) });
    } else if (type === RouteMessage.delLink) {
      onEvent({ type: "removed", interface: parseInterface(payload) });
    }
  });
}

/** Something of the routing of a network namespace changed. */
export type RoutingEvent =
  /** An interface, or an address. */
  | { readonly type: "interfaces" }
  | { readonly type: "route-removed"; readonly protocol: number }
  | { readonly type: "neighbour-removed"; readonly device: IfIndex }
  | { readonly type: "rule-removed" }
  /** The kernel threw events away. */
  | { readonly type: "overrun" };

/**
 * Tells of what can make rows of a routing daemon go, or be others than it has written. As {@link watchInterfaces}.
 *
 * @param onEvent must not throw
 * @throws SluiceError SLUICE_NETLINK_FAILED
 */
export function watchRouting(onEvent: (event: RoutingEvent) => void): InterfaceWatch {
  const groups = Object.values(Group).reduce((all, one) => all | one, 0);
  return watch(groups, (message) => {
    if (message === undefined) {
      onEvent({ type: "overrun" });
      return;
    }
    const { type, payload } = message;
    switch (type) {
      case RouteMessage.newLink:
      case RouteMessage.delLink:
      case RouteMessage.newAddress:
      case RouteMessage.delAddress:
        onEvent({ type: "interfaces" });
        break;
      case RouteMessage.delRoute:
        onEvent({ type: "route-removed", protocol: payload.readUInt8(5) });
        break;
      case RouteMessage.delNeighbour:
        onEvent({ type: "neighbour-removed", device: payload.readInt32LE(4) as IfIndex });
        break;
      case RouteMessage.delRule:
        onEvent({ type: "rule-removed" });
        break;
      default:
    }
  });
}

/** @param onMessage undefined: some are lost */
function watch(
  groups: number,
  onMessage: (message: NetlinkMessage | undefined) => void,
): InterfaceWatch {
  const fd = openNetlink(groups, false);
  enlargeReceiveBuffer(fd, receiveBufferBytes);
  let isOpen = true;
  const start = () =>
    koffi.node.poll(fd, { readable: true }, () => {
      const messages = receive(fd);
      if (messages === undefined) {
        // libuv takes the error for the end of the socket, and polls it no more.
        poll.close();
        poll = start();
        onMessage(undefined);
      }
      for (const message of messages ?? []) {
        // A handler may close the watch half way through.
        if (!isOpen) return;
        onMessage(message);
      }
    });
  let poll = start();
  return {
    close() {
      if (!isOpen) return;
      isOpen = false;
      poll.close();
      closeSync(fd);
    },
  };
}
