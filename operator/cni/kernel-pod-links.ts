import { closeSync, fstatSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { Errno } from "../../datapath/errors.js";
import {
  changeLink,
  createVeth,
  deleteLink,
  deleteLinkAside,
  type IfIndex,
  linkByName,
  listAddresses,
  listDefaultRoutes,
  listInterfaces,
  type NetworkInterface,
  replaceAddress,
  replaceNeighbour,
  replaceRoute,
  setLinkUp,
  SystemError,
} from "../../datapath/index.js";
import { withNetns } from "../../datapath/netns.js";
import { SluiceError } from "../errors.js";
import { type Attachment, attachmentKey, hostNamePrefix } from "./attachment.js";
import { cniError } from "./errors.js";
import { gatewayV4, gatewayV6, hostMac } from "./gateway.js";
import { formatAlias, parseAlias } from "./link-alias.js";
import type { PodLinks } from "./pod-links.js";
import { Turns } from "./turns.js";

/** One of the pool's four threads stays for files, which ADD waits for. */
const mostDeletions = 3;
const deletions = new Turns(mostDeletions);

const hostNamePattern = new RegExp(`^${hostNamePrefix}[0-9a-f]{11}$`);

/**
 * The veths of pods, in the network namespace of this thread.
 *
 * @param sysctlFolder where /proc/sys can be written
 */
export function kernelPodLinks(sysctlFolder = "/proc/sys"): PodLinks {
  return {
    create: (attachment) => create(attachment, sysctlFolder),
    activate: (attachment) => activate(attachment, sysctlFolder),
    check,
    remove,
    list,
  };
}

function create(attachment: Attachment, sysctlFolder: string): void {
  const netns = openNetns(attachment);
  try {
    removeLeftover(attachment);
    makeVeth(attachment, netns);
    try {
      withNetns(netns, () => configurePod(attachment, sysctlFolder));
    } catch (error) {
      deleteLink(attachment.hostName);
      throw error;
    }
  } catch (error) {
    throw explain(error, attachment);
  } finally {
    closeSync(netns);
  }
}

/** @returns a descriptor */
function openNetns(attachment: Attachment): number {
  const { netns } = attachment;
  let fd: number | undefined;
  try {
    fd = openSync(netns ?? "", "r");
    // Where a namespace was unmounted, an ordinary file is left.
    withNetns(fd, () => {});
  } catch (cause) {
    if (fd !== undefined) closeSync(fd);
    if (cause instanceof SluiceError && cause.code === "SLUICE_NO_CAPABILITY") {
      throw explain(cause, attachment);
    }
    throw cniError("SLUICE_CNI_NO_NETNS", `there is no network namespace ${netns}`, { cause });
  }
  const own = statSync("/proc/thread-self/ns/net");
  const found = fstatSync(fd);
  if (found.ino !== own.ino || found.dev !== own.dev) return fd;
  closeSync(fd);
  throw cniError(
    "SLUICE_CNI_ENVIRONMENT",
    `CNI_NETNS ${netns} is the namespace of the node itself`,
  );
}

function removeLeftover(attachment: Attachment): void {
  const found = linkByName(attachment.hostName);
  if (found === undefined) return;
  const other = parseAlias(found.name, found.alias ?? "", found.mtu);
  const isForeign = found.kind !== "veth" || (found.alias !== undefined && other === undefined);
  if (isForeign) {
    const problem = `the node has another interface ${found.name} (alias "${found.alias ?? ""}")`;
    throw cniError("SLUICE_CNI_EXISTS", problem, { remedy: "Remove or rename it" });
  }
  deleteLink(attachment.hostName);
}

function makeVeth(attachment: Attachment, netns: number): void {
  const { hostName, ifName, mac, mtu } = attachment;
  try {
    createVeth({ name: hostName, mac: hostMac, mtu, peer: { name: ifName, mac, netns } });
  } catch (error) {
    if (!isTaken(error)) throw error;
    const problem = `the container has an interface ${ifName} already`;
    throw cniError("SLUICE_CNI_EXISTS", problem, { cause: error });
  }
  changeLink(requireLink(hostName).index, { alias: formatAlias(attachment) });
}

function configurePod({ ifName, addresses }: Attachment, sysctlFolder: string): void {
  const { index } = requireLink(ifName);
  const { ipv4, ipv6 } = addresses;
  if (ipv6 !== undefined) writeSysctl(sysctlFolder, `ipv6/conf/${ifName}/disable_ipv6`, "0");
  // Routes come from here alone.
  writeSysctl(sysctlFolder, `ipv6/conf/${ifName}/accept_ra`, "0");
  setLinkUp(index);
  if (ipv4 !== undefined) {
    replaceAddress(index, { address: ipv4, length: 32 });
    replaceRoute({ destination: `${gatewayV4}/32`, device: index });
    replaceRoute({ destination: "0.0.0.0/0", device: index, gateway: gatewayV4 });
    setNeighbour(index, gatewayV4, hostMac);
  }
  if (ipv6 !== undefined) {
    replaceAddress(index, { address: ipv6, length: 128, nodad: true });
    replaceRoute({ destination: "::/0", device: index, gateway: gatewayV6 });
    setNeighbour(index, gatewayV6, hostMac);
  }
}

/** Says for good which MAC an address has on an interface. */
function setNeighbour(device: IfIndex, address: string, mac: string): void {
  replaceNeighbour({ device, address, mac, state: "permanent" });
}

/** Whether the kernel refuses a name that is in use. */
function isTaken(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof SystemError && cause.errno === Errno.EEXIST;
}

function activate(attachment: Attachment, sysctlFolder: string): void {
  const { hostName, mac, addresses, ports } = attachment;
  try {
    const { index } = requireLink(hostName);
    writeSysctl(sysctlFolder, `ipv6/conf/${hostName}/accept_ra`, "0");
    // No address of its own: all ends have the same MAC, and so would have the same.
    writeSysctl(sysctlFolder, `ipv6/conf/${hostName}/addr_gen_mode`, "1");
    // Answers that come from the node's port have its address, if the stack sees them.
    if (ports !== undefined) writeSysctl(sysctlFolder, `ipv4/conf/${hostName}/accept_local`, "1");
    setLinkUp(index);
    for (const address of [addresses.ipv4, addresses.ipv6]) {
      if (address === undefined) continue;
      replaceRoute({
        destination: `${address}/${address.includes(":") ? 128 : 32}`,
        device: index,
      });
      setNeighbour(index, address, mac);
    }
  } catch (error) {
    throw explain(error, attachment);
  }
}

function check(attachment: Attachment): string | undefined {
  const { hostName, netns } = attachment;
  const found = linkByName(hostName);
  if (found === undefined) return `the node has no interface ${hostName}`;
  if (parseAlias(hostName, found.alias ?? "", found.mtu) === undefined) {
    return `the alias of interface ${hostName} was changed`;
  }
  if (!found.isUp) return `interface ${hostName} is down`;
  if (netns === undefined) return undefined;
  try {
    return withNetns(netns, () => checkPod(attachment));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Only what every later plugin leaves as it is: some change the MAC or the MTU. */
function checkPod({ ifName, addresses }: Attachment): string | undefined {
  const found = linkByName(ifName);
  if (found === undefined) return `the container has no interface ${ifName}`;
  if (!found.isUp) return `interface ${ifName} of the container is down`;
  const own = listAddresses().filter(({ index }) => index === found.index);
  const routes = listDefaultRoutes().filter(({ index }) => index === found.index);
  const { ipv4, ipv6 } = addresses;
  for (const [wanted, gateway] of [
    [ipv4, gatewayV4],
    [ipv6, gatewayV6],
  ]) {
    if (wanted === undefined) continue;
    if (!own.some(({ address }) => address === wanted)) return `${ifName} has no address ${wanted}`;
    if (!routes.some((route) => route.gateway === gateway)) {
      return `the container has no default route by ${gateway}`;
    }
  }
  return undefined;
}

async function remove(hostName: string): Promise<void> {
  try {
    await deletions.run(hostName, () => deleteLinkAside(hostName));
  } catch (cause) {
    throw cniError("SLUICE_CNI_LINK", `cannot remove interface ${hostName}`, { cause });
  }
}

function list() {
  return listInterfaces()
    .filter(({ name, kind }) => kind === "veth" && hostNamePattern.test(name))
    .map(({ name, alias, mtu }) => ({ hostName: name, alias, mtu }));
}

function requireLink(name: string): NetworkInterface {
  const found = linkByName(name);
  if (found !== undefined) return found;
  throw cniError("SLUICE_CNI_LINK", `interface ${name} was removed meanwhile`);
}

/**
 * The files below `net` are those of the thread's network namespace. One that has its value already is not written:
 * in an unprivileged container they are read-only.
 */
function writeSysctl(folder: string, name: string, value: string): void {
  const path = `${folder}/net/${name}`;
  try {
    if (readFileSync(path, "utf8").trim() !== value) writeFileSync(path, value);
  } catch (cause) {
    // A kernel without IPv6.
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return;
    throw cniError("SLUICE_CNI_LINK", `cannot set ${path} to ${value}`, {
      remedy:
        "Mount the node's /proc/sys/net into the agent's container, and name it by --sysctl-dir",
      cause,
    });
  }
}

function explain(error: unknown, attachment: Attachment): unknown {
  if (error instanceof Error && "code" in error && String(error.code).startsWith("SLUICE_CNI_")) {
    return error;
  }
  const why = error instanceof Error ? error.message : String(error);
  const problem = `cannot make the interface of ${attachmentKey(attachment)}: ${why}`;
  return cniError("SLUICE_CNI_LINK", problem, { cause: error });
}
