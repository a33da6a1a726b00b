import { closeSync } from "node:fs";
import koffi from "koffi";
import type { NetworkInterface } from "./netlink.js";
import { parseInterface, RouteMessage } from "./netlink.js";
import { openNetlink, receive } from "./netlink-socket.js";

const groupLink = 1;

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
  const fd = openNetlink(groupLink, false);
  let isOpen = true;
  const poll = koffi.node.poll(fd, { readable: true }, () => {
    const messages = receive(fd);
    if (messages === undefined) {
      onEvent({ type: "overrun" });
      return;
    }
    for (const { type, payload } of messages) {
      // A handler may close the watch half way through.
      if (!isOpen) return;
      if (type === RouteMessage.newLink) {
        onEvent({ type: "changed", interface: parseInterface(payload) });
      } else if (type === RouteMessage.delLink) {
        onEvent({ type: "removed", interface: parseInterface(payload) });
      }
    }
  });
  return {
    close() {
      if (!isOpen) return;
      isOpen = false;
      poll.close();
      closeSync(fd);
    },
  };
}
