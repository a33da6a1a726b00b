import { probeKernel } from "../../datapath/probe.js";
import type { NodeFacts } from "../status/describe-node.js";

/** What this kernel offers. Asked once: it does not change while it runs. */
export function readNodeFacts(): NodeFacts {
  const { release, features } = probeKernel();
  return { kernelVersion: release, features };
}
