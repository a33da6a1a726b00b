/** An agent that changes the rules of pods without end, until it is killed. Arguments: {@link StormSettings} as JSON. */

import { openPods, type Pod, type PodRule } from "./harness.js";

export interface StormSettings {
  readonly pinRoot: string;
  readonly pods: readonly Pod[];
  /** Put in force one after the other, from the first on again. */
  readonly rules: readonly (readonly PodRule[])[];
  /** Ends after the first ones are in force. */
  readonly once: boolean;
}

async function write({ pinRoot, pods, rules, once }: StormSettings): Promise<void> {
  const agent = await openPods(pinRoot);
  for (const pod of pods) agent.add(pod);
  for (let at = 0; ; at = (at + 1) % rules.length) {
    await agent.apply(rules[at]!);
    process.send?.("in force");
    if (once) break;
  }
  await agent.close();
  process.disconnect();
}

await write(JSON.parse(process.argv[2] ?? "{}") as StormSettings);
