import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { hasNfTable } from "../../datapath/nf-masquerade.js";
import { MASQUERADE_TABLE } from "../apply/masquerade.js";
import type { Finding } from "./doctor.js";

/** What routes between the pods of nodes need of the kernel; without a pod network none of it is needed. */
export function examineRouting(): readonly Finding[] {
  return [vxlanFinding(), nftablesFinding()];
}

function vxlanFinding(): Finding {
  const common = { area: "kernel", name: "vxlan" } as const;
  if (existsSync("/sys/module/vxlan")) return { ...common, grade: "ok", text: "yes" };
  const modules = `/lib/modules/${release()}/modules.dep`;
  if (existsSync(modules) && /\/vxlan\.ko/.test(readFileSync(modules, "utf8"))) {
    return { ...common, grade: "ok", text: "a module, loaded when it is needed" };
  }
  return {
    ...common,
    grade: "note",
    text: "not found: a pod network has no tunnels",
    remedy: "modprobe vxlan, or use --pod-routing direct",
  };
}

function nftablesFinding(): Finding {
  const common = { area: "kernel", name: "nftables" } as const;
  try {
    hasNfTable(MASQUERADE_TABLE);
    return { ...common, grade: "ok", text: "yes" };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return {
      ...common,
      grade: "note",
      text: `not to be had: pods of a pod network do not get the address of their node (${why})`,
      remedy: "modprobe nf_tables nft_masq, or use --masquerade false",
    };
  }
}
