/** What the stack of a namespace has counted. */

import assert from "node:assert/strict";
import type { Namespace } from "./netns.js";

/** A counter of /proc/net/snmp: a line of names and one of values for each protocol. */
export function counter4(namespace: Namespace, protocol: string, name: string): number {
  const lines = namespace.run("cat", "/proc/net/snmp").split("\n");
  const [names, values] = lines.filter((line) => line.startsWith(`${protocol}: `));
  const at = names?.split(" ").indexOf(name) ?? -1;
  assert.ok(at > 0, `there is a counter ${protocol} ${name}`);
  return Number(values?.split(" ")[at]);
}

/** A counter of /proc/net/snmp6: one to a line. */
export function counter6(namespace: Namespace, name: string): number {
  const found = new RegExp(`^${name}\\s+(\\d+)$`, "m").exec(
    namespace.run("cat", "/proc/net/snmp6"),
  );
  assert.ok(found !== null, `there is a counter ${name}`);
  return Number(found[1]);
}
