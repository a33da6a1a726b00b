import { type Attachment, hostNameOf } from "./attachment.js";
import { formatBandwidth, parseBandwidth } from "./bandwidth.js";
import { formatPorts, parsePorts } from "./port-mappings.js";

const mark = "sluice1";
/** `IFALIASZ` of the kernel, without the NUL. */
const longestAlias = 255;
const uidPattern = /^[a-zA-Z0-9-]{1,36}$/;

/** What the alias of a link tells of its attachment: enough to find it again when the state is lost. */
export function formatAlias(attachment: Attachment): string {
  const { containerId, ifName, mac, addresses, pod, bandwidth, ports } = attachment;
  const uid = pod.uid !== undefined && uidPattern.test(pod.uid) ? pod.uid : "-";
  const { ipv4 = "-", ipv6 = "-" } = addresses;
  const limits = bandwidth === undefined ? [] : [formatBandwidth(bandwidth)];
  const mapped = ports === undefined ? [] : [formatPorts(ports)];
  const words = [mark, containerId, ifName, mac, ipv4, ipv6];
  const texts = [
    [...words, uid, ...limits, ...mapped],
    [...words, "-", ...limits, ...mapped],
    [...words, "-", ...limits],
    [...words, "-"],
  ].map((parts) => parts.join(" "));
  return texts.find((text) => Buffer.byteLength(text) <= longestAlias) ?? texts.at(-1)!;
}

/**
 * Reads an attachment back from the name, alias and MTU of the host's end.
 *
 * @returns undefined when the alias is not one of ours, or is that of another link
 */
export function parseAlias(hostName: string, alias: string, mtu: number): Attachment | undefined {
  const [found, containerId, ifName, mac, ipv4, ipv6, uid, ...more] = alias.split(" ");
  if (found !== mark || uid === undefined || more.length > 2) return undefined;
  if (!containerId || !ifName || !mac || !ipv4 || !ipv6) return undefined;
  if (hostNameOf({ containerId, ifName }) !== hostName) return undefined;
  const bandwidth = more.map(parseBandwidth).find((limits) => limits !== undefined);
  const ports = more.map(parsePorts).find((mapped) => mapped !== undefined);
  if (more.some((word) => parseBandwidth(word) === undefined && parsePorts(word) === undefined)) {
    return undefined;
  }
  const given = (word: string) => (word === "-" ? undefined : word);
  return {
    containerId,
    ifName,
    network: undefined,
    netns: undefined,
    hostName,
    mac,
    mtu,
    addresses: { ipv4: given(ipv4), ipv6: given(ipv6) },
    pod: { namespace: undefined, name: undefined, uid: given(uid) },
    ...(bandwidth !== undefined && { bandwidth }),
    ...(ports !== undefined && { ports }),
  };
}
