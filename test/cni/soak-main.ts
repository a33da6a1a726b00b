import { parseArgs } from "node:util";
import { withNamespaces } from "../support/netns.js";
import { soak } from "./soak.js";

/** `npm run soak -- --rounds N` */
const { values } = parseArgs({ options: { rounds: { type: "string", default: "10000" } } });
await withNamespaces(async (lab) => {
  const { added, failed, kills } = await soak(lab, Number(values.rounds));
  console.log(`${added} attached, ${failed} cut off, ${kills} kills; nothing left`);
});
