import { listInterfaces } from "../../datapath/index.js";
import { getSysctl, setSysctl } from "../../datapath/sysctl.js";
import { SluiceError } from "../errors.js";

/**
 * Lets the node forward between its pods and the rest. A node that forwards IPv6 would no longer take its own routes from
 * router advertisements, so interfaces that do are told to go on.
 *
 * @param folder where /proc/sys can be written
 * @throws SluiceError SLUICE_SYSCTL_FAILED
 */
export function enableForwarding(folder: string): void {
  /** What has its value already is not written: in a container these files may be read-only. */
  const ensure = (name: string, value: string) => {
    if (getSysctl(name) !== value) setSysctl(name, value, folder);
  };
  ensure("net.ipv4.ip_forward", "1");
  for (const { name } of listInterfaces()) {
    const accept = `net.ipv6.conf.${name.replaceAll(".", "/")}.accept_ra`;
    if (read(accept) === "1") ensure(accept, "2");
  }
  if (read("net.ipv6.conf.all.forwarding") !== undefined) {
    ensure("net.ipv6.conf.all.forwarding", "1");
  }
}

/** Undefined on a kernel, or an interface, without IPv6. */
function read(name: string): string | undefined {
  try {
    return getSysctl(name);
  } catch (error) {
    if (error instanceof SluiceError && error.code === "SLUICE_SYSCTL_FAILED") return undefined;
    throw error;
  }
}
