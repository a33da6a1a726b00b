import { interfaceByName } from "../../datapath/netlink.js";
import type { NetworkInterface } from "../../datapath/netlink.js";
import { createVeth, setLinkUp } from "../../datapath/netlink-links.js";

/** Makes a veth pair `a` and `b`, both up, in the namespace of this thread; returns `a`. */
export function localWire(): NetworkInterface {
  const wire = createVeth({ name: "a", mtu: 1500, isUp: true, peer: { name: "b" } });
  const other = interfaceByName("b");
  if (other === undefined) throw new Error("the other end of the wire is missing");
  setLinkUp(other.index);
  return wire;
}
