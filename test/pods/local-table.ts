/** Pods with interfaces of a test, as an agent keeps them. */

import type { IfIndex } from "../../datapath/index.js";
import { LocalPodTable } from "../../operator/apply/local-pod-table.js";
import { PodObjects } from "../../operator/apply/pod-objects.js";
import type { PodRulesInput } from "../../operator/compile/pod-rules.js";
import { podFacts } from "../../operator/model/pod-facts.js";

/** @param places by key; pods without one are not attached */
export function localTable(
  input: PodRulesInput,
  places: ReadonlyMap<string, { readonly index: IfIndex; readonly mac: string }>,
): LocalPodTable {
  const objects = new PodObjects();
  for (const record of input.pods.values()) objects.submit({ type: "upsert", record });
  const table = new LocalPodTable(objects);
  for (const { key, slotIn, slotOut, record } of input.localPods) {
    const place = places.get(key);
    if (place === undefined) continue;
    const [ipv4, ipv6] = ([4, 6] as const).map((family) => {
      return podFacts(record).addresses.find((text) => text.includes(":") === (family === 6));
    });
    const { namespace, name } = record;
    const link = {
      hostName: key,
      mac: place.mac,
      addresses: { ipv4, ipv6 },
      pod: { namespace, name, uid: undefined },
    };
    table.add(link, { index: place.index, slotIn, slotOut });
  }
  return table;
}
