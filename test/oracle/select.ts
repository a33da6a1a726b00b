/** Which policies judge an interface, and in which order: docs/xdp-policy.md §2. */

import type { XdpPolicyRecord } from "../../operator/model/records.js";
import { selectorMatches } from "./match.js";
import type { World } from "./world.js";

/** Empty: the interface is not judged. */
export function policiesFor(world: World, interfaceName: string): readonly XdpPolicyRecord[] {
  return world.policies
    .filter(
      (policy) =>
        selectorMatches(policy.nodeSelector, world.node.labels) &&
        interfaceMatches(policy, world, interfaceName),
    )
    .sort(
      (a, b) => a.priority - b.priority || Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
    );
}

function interfaceMatches(policy: XdpPolicyRecord, world: World, interfaceName: string): boolean {
  return policy.interfaces.length === 0
    ? world.uplinks.includes(interfaceName)
    : policy.interfaces.some((glob) => globMatches(glob, interfaceName));
}

/** `*` is any run of characters, the empty one too; `?` is one character; all else is itself. */
export function globMatches(glob: string, text: string): boolean {
  if (glob === "") {
    return text === "";
  }
  const rest = glob.slice(1);
  if (glob.startsWith("*")) {
    return globMatches(rest, text) || (text !== "" && globMatches(glob, text.slice(1)));
  }
  return (
    text !== "" && (glob[0] === "?" || glob[0] === text[0]) && globMatches(rest, text.slice(1))
  );
}
