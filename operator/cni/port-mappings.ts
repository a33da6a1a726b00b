import { formatAddress } from "../model/cidr-format.js";
import { ANY_CIDR, isFault, readCidr } from "../model/cidr.js";
import { cniError } from "./errors.js";

const protocols = ["tcp", "udp", "sctp"] as const;

/** A port of the node that stands for one of the container (capability `portMappings`). */
export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: (typeof protocols)[number];
  /** The address of the node that has it; `0.0.0.0` or `::`: each one of its family; undefined: each one. */
  readonly hostIp: string | undefined;
}

const field = "runtimeConfig.portMappings";

/**
 * Reads `runtimeConfig.portMappings`; one without a host port is none.
 *
 * @throws SluiceError SLUICE_CNI_CONFIG
 */
export function readPortMappings(value: unknown): readonly PortMapping[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw bad(value, "a list");
  const mappings = value.flatMap((entry: unknown) => {
    if (typeof entry !== "object" || entry === null) throw bad(entry, "a list of objects");
    const { hostPort, containerPort, protocol, hostIP } = entry as Record<string, unknown>;
    if (hostPort === 0 || hostPort === undefined) return [];
    if (!isPort(hostPort)) throw bad(entry, "with a hostPort from 1 to 65535");
    if (!isPort(containerPort)) throw bad(entry, "with a containerPort from 1 to 65535");
    return [
      {
        hostPort,
        containerPort,
        protocol: readProtocol(entry, protocol),
        hostIp: readIp(entry, hostIP),
      },
    ];
  });
  mappings.forEach((mapping, at) => {
    const other = mappings.slice(0, at).find((one) => overlaps(one, mapping));
    if (other !== undefined) throw bad(value, `without two uses of ${describePort(mapping)}`);
  });
  return mappings;
}

function readProtocol(entry: object, value: unknown): PortMapping["protocol"] {
  if (value === undefined || value === "") return "tcp";
  const found = protocols.find((name) => typeof value === "string" && name === value.toLowerCase());
  if (found === undefined) throw bad(entry, `with a protocol of ${protocols.join(", ")}`);
  return found;
}

function readIp(entry: object, value: unknown): string | undefined {
  if (value === undefined || value === "") return undefined;
  const isText = typeof value === "string" && !value.includes("/");
  const cidr = isText ? readCidr(value.toLowerCase(), ANY_CIDR) : undefined;
  if (cidr === undefined || isFault(cidr)) {
    throw bad(entry, "with an address as hostIP, or none");
  }
  return formatAddress(cidr);
}

function isPort(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0 && (value as number) <= 65535;
}

function bad(value: unknown, rule: string) {
  const found = JSON.stringify(value).slice(0, 200);
  return cniError("SLUICE_CNI_CONFIG", `the field ${field} is ${found}: it must be ${rule}`);
}

/** Whether two mappings want one port of one address. */
export function overlaps(a: PortMapping, b: PortMapping): boolean {
  if (a.hostPort !== b.hostPort || a.protocol !== b.protocol) return false;
  if (a.hostIp === undefined || b.hostIp === undefined || a.hostIp === b.hostIp) return true;
  const family = (ip: string) => (ip.includes(":") ? 6 : 4);
  const isAny = (ip: string) => ip === "0.0.0.0" || ip === "::";
  return family(a.hostIp) === family(b.hostIp) && (isAny(a.hostIp) || isAny(b.hostIp));
}

export function describePort({ hostPort, protocol, hostIp }: PortMapping): string {
  return `hostPort ${hostPort}/${protocol}${hostIp === undefined ? "" : ` of ${hostIp}`}`;
}

const mark = "ports=";

/** One word, such as `ports=8080:80/tcp,53:53/udp@192.0.2.1`. */
export function formatPorts(ports: readonly PortMapping[]): string {
  const texts = ports.map(
    ({ hostPort, containerPort, protocol, hostIp }) =>
      `${hostPort}:${containerPort}/${protocol}${hostIp === undefined ? "" : `@${hostIp}`}`,
  );
  return `${mark}${texts.join()}`;
}

/** @returns undefined when {@link formatPorts} did not write it */
export function parsePorts(word: string): readonly PortMapping[] | undefined {
  if (!word.startsWith(mark)) return undefined;
  const ports = word
    .slice(mark.length)
    .split(",")
    .map((text) => /^(\d{1,5}):(\d{1,5})\/(tcp|udp|sctp)(?:@([0-9a-f.:]+))?$/.exec(text));
  if (ports.includes(null)) return undefined;
  return ports.map((match) => ({
    hostPort: Number(match![1]),
    containerPort: Number(match![2]),
    protocol: match![3] as PortMapping["protocol"],
    hostIp: match![4],
  }));
}

/** As they are on disk; undefined when they are not. */
export function storedPorts(value: unknown): readonly PortMapping[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.flatMap((entry: unknown) => {
    const { hostPort, containerPort, protocol, hostIp } = (entry ?? {}) as Record<string, unknown>;
    if (!isPort(hostPort) || !isPort(containerPort) || !isProtocol(protocol)) return [];
    const ip = typeof hostIp === "string" ? hostIp : undefined;
    return [{ hostPort, containerPort, protocol, hostIp: ip }];
  });
}

function isProtocol(value: unknown): value is PortMapping["protocol"] {
  return protocols.some((name) => name === value);
}
