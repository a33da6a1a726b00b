import { execFileSync } from "node:child_process";
import { makeNamespace } from "../cleanup.js";

export const nodeAddress = "10.9.0.1";
export const outsideAddress = "10.9.0.7";
export const uplink = "eth0";

/** Gives this process's own namespace an uplink, and its other end to a new namespace, whose name is returned. */
export function makeOutside(): string {
  const outside = makeNamespace("outside");
  const ip = (...words: readonly string[]) => execFileSync("ip", words);
  ip("link", "add", uplink, "type", "veth", "peer", "name", "wire", "netns", outside);
  ip("address", "add", `${nodeAddress}/24`, "dev", uplink);
  ip("link", "set", uplink, "up");
  ip("-n", outside, "address", "add", `${outsideAddress}/24`, "dev", "wire");
  ip("-n", outside, "link", "set", "wire", "up");
  return outside;
}
