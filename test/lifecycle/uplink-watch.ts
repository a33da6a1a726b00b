import { join } from "node:path";
import type { LinkId, ProgramId } from "../../datapath/handles.js";
import { Link } from "../../datapath/links.js";
import { queryXdp } from "../../datapath/xdp-attach.js";
import type { Lab } from "../support/netns.js";
import type { World } from "./world.js";

const everyMs = 10;

/** Looks at the XDP program of a node's uplink all the time. */
export interface UplinkWatch {
  /** How often it was looked at, and how often there was no program or another link than at first. */
  looks(): number;
  gaps(): number;
  program(): ProgramId | undefined;
  link(): LinkId;
}

/** Starts to watch; there must be a link. Ends with the test. */
export function watchUplink(lab: Lab, { node, pinRoot }: World): UplinkWatch {
  const index = node.indexOf("eth0");
  const linkId = () => {
    const link = Link.openPinned(join(pinRoot, "links", `xdp-${index}`));
    try {
      return link.info().id;
    } finally {
      link.close();
    }
  };
  const program = () => node.enter(() => queryXdp(index).native);
  const first = linkId();
  let looks = 0;
  let gaps = 0;
  const timer = setInterval(() => {
    looks++;
    if (program() === undefined || linkId() !== first) gaps++;
  }, everyMs);
  lab.onCleanup(() => clearInterval(timer));
  return { looks: () => looks, gaps: () => gaps, program, link: linkId };
}
